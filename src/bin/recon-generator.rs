//! `recon-generator`: see [`recon::cli::boot`].

fn main() -> std::process::ExitCode {
    recon::cli::boot::main()
}
