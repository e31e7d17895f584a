//! `recon-kaze`: see [`recon::agents::Kaze`].

fn main() -> std::process::ExitCode {
    recon::runtime::main::<recon::agents::Kaze>()
}
