//! `recon-hub`: see [`recon::hub`].

/// What one thread takes and another gives back, as with every request on its way to the database
/// and back, costs the C library's allocator a quarter of a hub's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    recon::hub::main()
}
