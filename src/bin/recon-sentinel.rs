//! `recon-sentinel`: see [`recon::agents::Sentinel`].

fn main() -> std::process::ExitCode {
    recon::runtime::main::<recon::agents::Sentinel>()
}
