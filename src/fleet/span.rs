use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time as configuration writes it: `"30s"`, `"24h"`, `"1h 30m"`; a bare number is
/// seconds, as in the environment variables of the earlier system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let s = s.trim();
        if let Ok(secs) = s.parse::<f64>() {
            return Duration::try_from_secs_f64(secs)
                .map(Self)
                .map_err(|_| format!("{s:?} is not a length of time: it must not be negative"));
        }
        humantime::parse_duration(s).map(Self).map_err(|_| {
            format!("{s:?} is not a length of time: write it like \"30s\", \"15m\" or \"24h\"")
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time like \"30s\", or a number of seconds")
            }

            fn visit_str<E: serde::de::Error>(self, s: &str) -> Result<Span, E> {
                s.parse().map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Span, E> {
                n.to_string().parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Span, E> {
                Ok(Span::secs(n))
            }

            fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<Span, E> {
                n.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "minimum": 0,
            "description": "length of time: \"30s\", \"15m\", \"24h\"; a bare number is seconds"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_bare_seconds() {
        assert_eq!("30s".parse(), Ok(Span::secs(30)));
        assert_eq!("1h 30m".parse(), Ok(Span::secs(5400)));
        assert_eq!("45".parse(), Ok(Span::secs(45)));
        assert_eq!("0.5".parse(), Ok(Span(Duration::from_millis(500))));
        assert!("-1".parse::<Span>().is_err());
        assert!("soon".parse::<Span>().unwrap_err().contains("30s"));
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["30s", "15m", "1h 30m"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
