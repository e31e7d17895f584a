//! Which names a product has: in the answers of services, in NVD, in the CVE list and as a package.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

const DATA: &str = include_str!("../../../../packaging/vulndb/products.toml");

/// One product under all of its names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// `vendor:product`, as NVD has or had it, and as the CVE list writes it.
    pub cpe: Vec<String>,
    /// As our detection calls it, in any case.
    #[serde(default)]
    pub names: Vec<String>,
    /// Source packages of distributions; `*` at the end is a number (`php*`: `php8.2`).
    #[serde(default)]
    pub packages: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    product: Vec<Alias>,
}

struct Aliases {
    all: Vec<Alias>,
    by_cpe: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
}

fn load() -> Option<Vec<Alias>> {
    Some(toml::from_str::<File>(DATA).ok()?.product)
}

/// A test makes sure that the file reads.
static ALIASES: LazyLock<Aliases> = LazyLock::new(|| {
    let all = load().unwrap_or_default();
    let (mut by_cpe, mut by_name) = (HashMap::new(), HashMap::new());
    for (at, alias) in all.iter().enumerate() {
        by_cpe.extend(alias.cpe.iter().map(|name| (name.clone(), at)));
        by_name.extend(alias.names.iter().map(|name| (name.to_lowercase(), at)));
    }
    Aliases {
        all,
        by_cpe,
        by_name,
    }
});

/// The product of a `vendor:product`.
pub fn of_cpe(key: &str) -> Option<&'static Alias> {
    Some(&ALIASES.all[*ALIASES.by_cpe.get(key)?])
}

/// The product that is called so.
pub fn of_name(name: &str) -> Option<&'static Alias> {
    let name = name.trim().to_lowercase();
    Some(&ALIASES.all[*ALIASES.by_name.get(&name)?])
}

/// All names that our detection gives, in lower case.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALIASES.by_name.keys().map(String::as_str)
}

/// Whether a source package is a product's.
pub fn is_package(key: &str, package: &str) -> bool {
    match of_cpe(key).filter(|alias| !alias.packages.is_empty()) {
        Some(alias) => alias
            .packages
            .iter()
            .any(|name| match name.strip_suffix('*') {
                Some(start) => package.strip_prefix(start).is_some_and(|rest| {
                    rest.bytes()
                        .all(|byte| byte.is_ascii_digit() || byte == b'.')
                }),
                None => name == package,
            }),
        None => key.rsplit(':').next() == Some(package),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_file_reads_and_no_name_is_of_two_products() {
        let all = load().unwrap();
        assert!(all.len() > 40);
        let (mut cpes, mut names) = (HashSet::new(), HashSet::new());
        for alias in &all {
            assert!(!alias.cpe.is_empty(), "{alias:?}");
            for cpe in &alias.cpe {
                assert!(
                    cpe.split_once(':').is_some() && *cpe == cpe.to_lowercase(),
                    "{cpe}"
                );
                assert!(cpes.insert(cpe.clone()), "{cpe}");
            }
            for name in &alias.names {
                assert!(names.insert(name.to_lowercase()), "{name}");
            }
        }
    }

    #[test]
    fn packages_by_number() {
        assert!(is_package("php:php", "php8.2"));
        assert!(!is_package("php:php", "php-twig"));
        assert!(is_package("apache:http_server", "apache2"));
        assert!(is_package("nobody:thing", "thing"));
        assert!(!is_package("nobody:thing", "things"));
    }
}
