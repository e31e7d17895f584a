//! `recon-kumo`: see [`recon::agents::Kumo`].

fn main() -> std::process::ExitCode {
    recon::runtime::main::<recon::agents::Kumo>()
}
