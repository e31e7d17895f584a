use std::collections::HashMap;

use chrono::{DateTime, Utc};
use zbus::{OwnedVariant, Variant};

/// The properties of one interface of one object. Older versions of systemd lack some: what is
/// absent, of another type or marked "not available" (all bits set) is `None`.
#[derive(Debug, Default)]
pub struct Props(HashMap<String, OwnedVariant>);

impl From<HashMap<String, OwnedVariant>> for Props {
    fn from(map: HashMap<String, OwnedVariant>) -> Self {
        Self(map)
    }
}

impl Props {
    fn get(&self, key: &str) -> Option<&Variant<'static>> {
        self.0.get(key).map(|v| &**v)
    }

    /// A text that is not empty.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Variant::Str(s) if !s.is_empty() => Some(s.as_str().to_owned()),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Variant::U64(n) if *n != u64::MAX => Some(*n),
            Variant::U32(n) if *n != u32::MAX => Some(u64::from(*n)),
            Variant::I32(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number or a time that is not zero (systemd writes "never" as 0).
    pub fn nonzero(&self, key: &str) -> Option<u64> {
        self.number(key).filter(|n| *n != 0)
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Variant::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// A point in time, in microseconds since 1970.
    pub fn time(&self, key: &str) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(i64::try_from(self.nonzero(key)?).ok()?)
    }

    /// A list of texts; absent is empty.
    pub fn texts(&self, key: &str) -> Vec<String> {
        match self.get(key) {
            Some(Variant::Array(array)) => array
                .iter()
                .filter_map(|v| match v {
                    Variant::Str(s) => Some(s.as_str().to_owned()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// 128 bits as 32 hexadecimal digits, as systemd prints an id; all zero is `None`.
    pub fn id128(&self, key: &str) -> Option<String> {
        let Some(Variant::Array(array)) = self.get(key) else {
            return None;
        };
        let bytes: Vec<u8> = array
            .iter()
            .filter_map(|v| match v {
                Variant::U8(b) => Some(*b),
                _ => None,
            })
            .collect();
        (bytes.len() == 16 && bytes.iter().any(|b| *b != 0))
            .then(|| bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The first list of an exit status set (`(aiai)`: statuses, signals).
    pub fn exit_statuses(&self, key: &str) -> Vec<i32> {
        let Some(Variant::Structure(set)) = self.get(key) else {
            return Vec::new();
        };
        let Some(Variant::Array(statuses)) = set.fields().first() else {
            return Vec::new();
        };
        statuses
            .iter()
            .filter_map(|v| match v {
                Variant::I32(n) => Some(*n),
                _ => None,
            })
            .collect()
    }
}
