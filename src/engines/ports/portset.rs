use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::plan::beginning;
use super::table::{self, Ranking};

/// A set of ports, 1 to 65535.
///
/// Reads `top100`, `top1000` (see `packaging/ports/tcp-ports.txt`), `-`, `all` or `1-65535`, and
/// lists of numbers, ranges and service names: `22,80,443,8000-8100,ssh`. Ranges may be open:
/// `-1024`, `60000-`. Shows as the shortest list of numbers and ranges, or as `topN` when it is
/// just that. As text they are TCP ports; [`PortSet::udp`] reads the same with the ranking and the
/// names of UDP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortSet {
    /// Sorted, disjoint, not adjacent, both ends included.
    ranges: Vec<(u16, u16)>,
}

/// A list of ports that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{list:?} is not a list of ports: {part:?} is no port, range, service name or top1 to top{ranked}; \
     write it like \"22,80,8000-8100\", \"{example}\" or \"-\" for all"
)]
pub struct PortSetError {
    /// The list, its beginning when it is long.
    pub list: String,
    /// The part of it that does not read.
    pub part: String,
    /// How many ports are ranked.
    ranked: usize,
    example: &'static str,
}

impl PortSet {
    /// Every port, 1 to 65535.
    pub fn all() -> Self {
        Self {
            ranges: vec![(1, u16::MAX)],
        }
    }

    /// The `count` ports that are most often open, at most 1,000.
    pub fn top(count: usize) -> Self {
        table::top_ports(count).collect()
    }

    /// No port.
    pub fn none() -> Self {
        Self { ranges: Vec::new() }
    }

    /// UDP ports, from the same kind of text: `top20`, `snmp,ntp`, `53,1-1024`. "" is none.
    ///
    /// # Errors
    /// It does not read.
    pub fn udp(text: &str) -> Result<Self, PortSetError> {
        Self::read_or_none(text, table::udp(), "top20")
    }

    /// TCP ports, or none when the text is empty.
    ///
    /// # Errors
    /// It does not read.
    pub fn tcp(text: &str) -> Result<Self, PortSetError> {
        Self::read_or_none(text, table::tcp(), "top1000")
    }

    fn read_or_none(
        text: &str,
        ranking: &Ranking,
        example: &'static str,
    ) -> Result<Self, PortSetError> {
        match text.trim() {
            "" => Ok(Self::none()),
            text => Self::read(text, ranking, example),
        }
    }

    fn read(text: &str, ranking: &Ranking, example: &'static str) -> Result<Self, PortSetError> {
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            ranges.extend(parse_part(part, ranking).ok_or_else(|| PortSetError {
                list: beginning(text),
                part: beginning(part),
                ranked: ranking.len(),
                example,
            })?);
        }
        Ok(Self::from_ranges(ranges))
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        self.iter().filter(|port| !other.contains(*port)).collect()
    }

    /// Number of ports.
    pub fn len(&self) -> usize {
        self.ranges
            .iter()
            .map(|(first, last)| usize::from(last - first) + 1)
            .sum()
    }

    /// No port at all.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether this port is in it.
    pub fn contains(&self, port: u16) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= port);
        after > 0 && self.ranges[after - 1].1 >= port
    }

    /// The ports in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Numbers and ranges only, as nmap's `-p` takes them.
    pub fn to_numbers(&self) -> String {
        let part = |(first, last): &(u16, u16)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        };
        self.ranges.iter().map(part).collect::<Vec<_>>().join(",")
    }

    fn from_ranges(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if u32::from(first) <= u32::from(previous.1) + 1 => {
                    previous.1 = previous.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }
}

impl Default for PortSet {
    /// The 1,000 ports that are most often open.
    fn default() -> Self {
        Self::top(1000)
    }
}

impl FromIterator<u16> for PortSet {
    /// Port 0, which is none, is left out.
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        Self::from_ranges(
            ports
                .into_iter()
                .filter(|port| *port != 0)
                .map(|port| (port, port))
                .collect(),
        )
    }
}

impl FromStr for PortSet {
    type Err = PortSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, table::tcp(), "top1000")
    }
}

/// One part of a list; nothing when it is not one.
fn parse_part(part: &str, ranking: &Ranking) -> Option<Vec<(u16, u16)>> {
    if part.eq_ignore_ascii_case("all") {
        return Some(PortSet::all().ranges);
    }
    if let Some(count) = part.to_ascii_lowercase().strip_prefix("top") {
        let count = count.trim_start_matches('-').parse().ok()?;
        return (1..=ranking.len())
            .contains(&count)
            .then(|| ranking.top(count).collect::<PortSet>().ranges);
    }
    if let Some(port) = ranking.port_of(part) {
        return Some(vec![(port, port)]);
    }
    let (first, last) = match part.split_once('-') {
        Some((first, last)) => (number(first, 1)?, number(last, u16::MAX)?),
        None => (number(part, 0)?, number(part, 0)?),
    };
    (first >= 1 && first <= last).then(|| vec![(first, last)])
}

fn number(text: &str, default: u16) -> Option<u16> {
    match text.trim() {
        "" => Some(default),
        // `parse` alone would let a sign pass.
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for count in [100, 1000] {
            if self.len() == count && *self == Self::top(count) {
                return write!(f, "top{count}");
            }
        }
        f.write_str(&self.to_numbers())
    }
}

impl Serialize for PortSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for PortSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PortSet".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "TCP ports: top100, top1000, - (all), or numbers, ranges and service names",
            "examples": ["top1000", "22,80,443,8000-8100", "-"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> PortSet {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_people_write() {
        assert_eq!(set("1-65535"), PortSet::all());
        assert_eq!(set("-"), PortSet::all());
        assert_eq!(set("all").len(), 65_535);
        assert_eq!(set("top1000").len(), 1000);
        assert_eq!(set("TOP100").len(), 100);
        assert_eq!(set("ssh, http").iter().collect::<Vec<_>>(), [22, 80]);
        assert_eq!(set("443,22,80,81-82,80").to_string(), "22,80-82,443");
        assert_eq!(set("-3,65534-").to_string(), "1-3,65534-65535");
        assert_eq!(set("top100,9").len(), 101);
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in [
            "", ",", "0", "0-10", "65536", "80-22", "1-2-3", "+80", "nope", "top0", "top5000",
            "80,",
        ] {
            assert!(bad.parse::<PortSet>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn udp_has_its_own_ranking_and_names() {
        let udp = |text: &str| PortSet::udp(text).unwrap();
        assert_eq!(udp("snmp,ntp").to_string(), "123,161");
        assert_eq!(udp("top20").len(), 20);
        assert!(udp("top20").contains(161) && !udp("top20").contains(80));
        assert!(udp("").is_empty() && PortSet::tcp(" ").unwrap().is_empty());
        let hidden = PortSet::udp("5\u{115f}3").unwrap_err().to_string();
        assert!(!hidden.contains(crate::api::hides), "{hidden:?}");
        let error = PortSet::udp("53,top9999").unwrap_err().to_string();
        assert!(error.contains("\"top9999\" is no port"), "{error}");
        assert!(error.contains("top1 to top"), "{error}");
    }

    #[test]
    fn without_takes_away() {
        assert_eq!(set("1-10").without(&set("3-4,9-20")).to_string(), "1-2,5-8");
        assert_eq!(set("1-10").without(&PortSet::none()), set("1-10"));
        assert!(set("80").without(&PortSet::all()).is_empty());
    }

    #[test]
    fn shows_in_the_shortest_way() {
        assert_eq!(PortSet::all().to_string(), "1-65535");
        assert_eq!(PortSet::top(1000).to_string(), "top1000");
        assert_eq!(PortSet::top(100).to_string(), "top100");
        assert!(!PortSet::top(100).to_numbers().contains("top"));
    }

    proptest! {
        #[test]
        fn display_reads_back(ports in prop::collection::btree_set(1..=u16::MAX, 1..300)) {
            let set: PortSet = ports.iter().copied().collect();
            prop_assert_eq!(set.len(), ports.len());
            prop_assert!(set.iter().eq(ports.iter().copied()));
            prop_assert_eq!(set.to_string().parse::<PortSet>().unwrap(), set.clone());
            for port in 1..=u16::MAX {
                prop_assert_eq!(set.contains(port), ports.contains(&port));
            }
        }

        #[test]
        fn ranges_merge(ranges in prop::collection::vec((1..=u16::MAX, 0..500_u16), 1..20)) {
            let text = ranges
                .iter()
                .map(|(first, more)| format!("{first}-{}", first.saturating_add(*more)))
                .collect::<Vec<_>>()
                .join(",");
            let set = set(&text);
            prop_assert_eq!(set.iter().count(), set.len());
            prop_assert_eq!(set.to_string().parse::<PortSet>().unwrap(), set);
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = text.parse::<PortSet>();
        }
    }
}
