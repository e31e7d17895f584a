//! `recon-hub`: see [`recon::hub`].

fn main() -> std::process::ExitCode {
    recon::hub::main()
}
