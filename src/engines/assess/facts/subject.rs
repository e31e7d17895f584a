use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::schema::{HEADER, Kind, Type};

/// What a field of a fact says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Text, which strangers may have written.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// A time.
    Time(DateTime<Utc>),
}

impl Value {
    /// Its type.
    pub fn kind(&self) -> Type {
        match self {
            Self::Flag(_) => Type::Flag,
            Self::Number(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::List(_) => Type::List,
            Self::Time(_) => Type::Time,
        }
    }

    /// It says nothing.
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    /// As it is: whoever shows it escapes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(true) => f.write_str("yes"),
            Self::Flag(false) => f.write_str("no"),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => f.write_str(&list.join(", ")),
            Self::Time(time) => time.format("%Y-%m-%d").fmt(f),
        }
    }
}

macro_rules! into_value {
    ($($from:ty => $with:expr,)*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                ($with)(value)
            }
        })*
    };
}

into_value! {
    bool => Value::Flag,
    i64 => Value::Number,
    u16 => |number| Value::Number(i64::from(number)),
    u32 => |number| Value::Number(i64::from(number)),
    usize => |number| Value::Number(i64::try_from(number).unwrap_or(i64::MAX)),
    &str => |text: &str| Value::Text(text.to_owned()),
    String => Value::Text,
    Vec<String> => Value::List,
    DateTime<Utc> => Value::Time,
}

/// Where a field of a kind of fact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// In the list of [`Kind::fields`].
    Field(usize),
    /// A header of an answer, by name in lower case.
    Header(String),
}

/// One fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// What kind of thing it is.
    pub kind: Kind,
    /// What it was seen in.
    pub sources: Vec<String>,
    /// Where it is, for people and for the identity of a finding: `tcp/6379`, `https://host`, `nginx`.
    pub place: String,
    /// What ties it to facts of other kinds: `tcp/443` for all of a web server at that port.
    pub anchor: String,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    fields: Vec<Option<Value>>,
    headers: BTreeMap<String, Value>,
}

impl Subject {
    /// A fact of which nothing but source and place is known yet.
    pub fn new(kind: Kind, source: String, place: &str) -> Self {
        Self {
            kind,
            sources: vec![source],
            place: place.to_owned(),
            anchor: place.to_owned(),
            confidence: 1.0,
            fields: vec![None; kind.fields().len()],
            headers: BTreeMap::new(),
        }
    }

    /// Sets a field. What says nothing, a name that the kind does not have and a value of another type
    /// change nothing.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let Some(slot) = self.kind.slot(name).filter(|_| !value.is_empty()) else {
            return;
        };
        if self.kind.type_of(&slot) != value.kind() {
            return;
        }
        match slot {
            Slot::Field(at) => self.fields[at] = Some(value),
            Slot::Header(name) => drop(self.headers.insert(name, value)),
        }
    }

    /// The same, when it is known.
    pub fn set_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// What a field says.
    pub fn at(&self, slot: &Slot) -> Option<&Value> {
        match slot {
            Slot::Field(at) => self.fields.get(*at)?.as_ref(),
            Slot::Header(name) => self.headers.get(name),
        }
    }

    /// What a field says, by its name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.at(&self.kind.slot(name)?)
    }

    /// The text of a field; "" when it has none.
    pub fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Every field that says something, by name; headers as `header.NAME`.
    pub fn known(&self) -> impl Iterator<Item = (String, &Value)> {
        let fields = self.kind.fields().iter().zip(&self.fields);
        let fields =
            fields.filter_map(|(field, value)| Some((field.name.to_owned(), value.as_ref()?)));
        let headers = self.headers.iter();
        fields.chain(headers.map(|(name, value)| (format!("{HEADER}{name}"), value)))
    }
}
