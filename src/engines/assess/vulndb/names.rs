//! What products the database has by a name that somebody wrote.

use super::aliases;
use super::error::Error;
use super::lookup::Vulndb;

/// Names nearer than this, by Jaro and Winkler, are taken for a slip of the fingers.
const NEAR: f64 = 0.85;
/// Names that are told.
const KEYS_MAX: usize = 50;

/// Products by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Those that the database has, `vendor:product`; those of one alias are one product.
    pub keys: Vec<String>,
    /// All of them are names of one product, as our detection calls it.
    pub is_alias: bool,
    /// Without any: the name that is nearest, if one is near.
    pub near: Option<String>,
}

impl Vulndb {
    /// Which products are called so: as our detection calls them (`OpenSSH`), or by their name in NVD
    /// (`log4j`, `apache:log4j`). All names are gone through where none is at hand: some 100 ms.
    ///
    /// # Errors
    ///
    /// The file is damaged, or cannot be read.
    pub fn named(&self, name: &str) -> Result<Named, Error> {
        let name = name.trim().to_lowercase();
        if let Some(alias) = aliases::of_name(&name).or_else(|| aliases::of_cpe(&name)) {
            let mut keys = Vec::new();
            for key in &alias.cpe {
                if self.has(key)? {
                    keys.push(key.clone());
                }
            }
            return Ok(Named {
                keys,
                is_alias: true,
                near: None,
            });
        }
        if self.has(&name)? {
            return Ok(Named {
                keys: vec![name],
                ..Named::default()
            });
        }
        let product = name.replace(' ', "_");
        let mut named = Named::default();
        let mut best = aliases::names()
            .map(|known| (strsim::jaro_winkler(&name, known), known.to_owned()))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or_default();
        self.store.products(|key| {
            let short = key.split_once(':').map_or(key, |(_, product)| product);
            if short == product && named.keys.len() < KEYS_MAX {
                named.keys.push(key.to_owned());
            }
            let near = strsim::jaro_winkler(&product, short);
            // Of names that are equally near the first in the alphabet, whatever the order of the file.
            if near > best.0 || near == best.0 && *short < *best.1 {
                best = (near, short.to_owned());
            }
        })?;
        named.keys.sort();
        if named.keys.is_empty() {
            named.near = (best.0 > NEAR).then_some(best.1);
        }
        Ok(named)
    }

    /// Whether it has anything of a product.
    fn has(&self, key: &str) -> Result<bool, Error> {
        let mut has = false;
        self.store.criteria(key, |_| has = true)?;
        Ok(has)
    }
}
