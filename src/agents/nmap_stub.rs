#![allow(missing_docs)]
use crate::engines::ports::*;
#[derive(Debug)]
pub struct Nmap;
impl Nmap {
    pub fn describe(&self) -> String {
        String::new()
    }
}
pub fn find_nmap() -> Option<Nmap> {
    None
}
pub async fn detect_with_nmap(
    _n: &Nmap,
    _r: &mut ScanReport,
    _o: &ScanOptions,
    _b: &dyn Observer,
) -> Result<(), String> {
    Ok(())
}
