//! `recon-ryu`: see [`recon::agents::Ryu`].

fn main() -> std::process::ExitCode {
    recon::runtime::main::<recon::agents::Ryu>()
}
