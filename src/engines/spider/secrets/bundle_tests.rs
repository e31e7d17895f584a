//! No secret in what everybody loads: the bundles of `testdata/bundles.txt`, fetched by
//! `testdata/fetch-bundles.sh`.

use std::path::{Path, PathBuf};

fn files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let script = |path: &Path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(
                extension,
                Some("js" | "mjs" | "cjs" | "css" | "html" | "json" | "map" | "ts")
            )
        };
        if path.is_dir() {
            files(&path, found);
        } else if script(&path) {
            found.push(path);
        }
    }
}

#[test]
#[ignore = "needs the bundles: testdata/fetch-bundles.sh"]
fn bundles_of_npm_hold_no_secret() {
    let below = std::env::var_os("RECON_BUNDLES").expect("RECON_BUNDLES");
    let mut found = Vec::new();
    files(Path::new(&below), &mut found);
    assert!(found.len() > 100, "{} files", found.len());
    let (mut bytes, mut wrong) = (0, Vec::new());
    for file in found
        .iter()
        .filter_map(|file| std::fs::read(file).ok().map(|text| (file, text)))
    {
        let text = String::from_utf8_lossy(&file.1);
        bytes += text.len();
        for secret in super::find(&text) {
            let around = text.get(secret.offset.saturating_sub(30)..secret.offset + 40);
            wrong.push(format!(
                "{} {}:{} {around:?}",
                secret.kind,
                file.0.display(),
                secret.line
            ));
        }
    }
    eprintln!("{} files, {bytes} bytes", found.len());
    assert!(
        wrong.is_empty(),
        "{} found:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
