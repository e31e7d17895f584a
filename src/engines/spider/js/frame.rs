use super::calls::Callee;
use super::concat::Concat;

/// What an open bracket is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Within {
    /// Statements, groups, arrays, holes of templates.
    #[default]
    Code,
    Call,
    Object,
}

/// What a value is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Assigned {
    #[default]
    Nothing,
    Location,
    /// `path=` of a route in JSX.
    Path,
}

/// An open bracket.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) within: Within,
    pub(super) callee: Callee,
    pub(super) argument: u16,
    /// The key whose value comes, as a range of the code.
    pub(super) key: Option<(usize, usize)>,
    pub(super) ternaries: u16,
    pub(super) assigned: Assigned,
    pub(super) concat: Option<Concat>,
    pub(super) method: Option<&'static str>,
    pub(super) endpoint: Option<usize>,
    /// Whether the keys are parameters.
    pub(super) collects: bool,
    pub(super) names: Vec<String>,
    /// An endpoint under `path`, and whether a key of routes is beside it.
    pub(super) route: Option<usize>,
    pub(super) is_route: bool,
}
