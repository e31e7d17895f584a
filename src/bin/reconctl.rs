//! `reconctl`: see [`recon::cli`].

fn main() -> std::process::ExitCode {
    recon::cli::main()
}
