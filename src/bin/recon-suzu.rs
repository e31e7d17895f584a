//! `recon-suzu`: see [`recon::agents::Suzu`].

fn main() -> std::process::ExitCode {
    recon::runtime::main::<recon::agents::Suzu>()
}
