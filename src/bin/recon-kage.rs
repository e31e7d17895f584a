//! `recon-kage`: see [`recon::agents::Kage`].

fn main() -> std::process::ExitCode {
    recon::runtime::main::<recon::agents::Kage>()
}
