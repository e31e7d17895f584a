//! `recon-shim`: see [`recon::runtime::shim`].

fn main() -> std::process::ExitCode {
    recon::runtime::shim::main()
}
