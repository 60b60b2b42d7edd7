//! Records where each value of the effective configuration came from. Depends only on pointers.

use std::collections::HashMap;
use std::fmt;

use crate::pointer::Pointer;

/// The source of a value that does not come from its own property in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverrideSource {
    /// A flag as the user writes it, such as `--join-method`.
    Flag(String),
    /// An environment variable, such as `TELEPORT_PROXY`.
    Variable(String),
    /// A command that adds a service of the same name, such as `identity`.
    Command(String),
    /// The join URI, which itself comes from the file, a flag or a variable.
    JoinUri,
}

impl fmt::Display for OverrideSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Command(name) => write!(f, "command {name}"),
            Self::JoinUri => f.write_str("join_uri"),
        }
    }
}

/// The origins of the values of an effective configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    /// Pointers into the effective configuration whose value is at another pointer in the file, each with that pointer.
    pub(super) moved: HashMap<Pointer, Pointer>,
    /// Pointers into the effective configuration whose value was overridden, each with the source.
    pub(super) overridden: Vec<(Pointer, OverrideSource)>,
}

/// The origin of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The property at this pointer in the file.
    File(Pointer),
    /// A source other than the property's own value in the file.
    Override(OverrideSource),
}

impl Origins {
    /// Returns the origin of the value at a pointer into the effective configuration. If nothing is recorded for the
    /// pointer, the nearest recorded ancestor determines the origin; without one, it is the same pointer in the file.
    pub fn of(&self, pointer: &Pointer) -> Origin {
        if let Some((source, _)) = nearest(&self.overridden, pointer) {
            return Origin::Override(source.clone());
        }
        let mut ancestor = Some(pointer.clone());
        while let Some(current) = ancestor {
            if let Some(from) = self.moved.get(&current) {
                let rest = &pointer.as_str()[current.as_str().len()..];
                return Origin::File(Pointer::from(format!("{from}{rest}")));
            }
            ancestor = current.parent();
        }
        Origin::File(pointer.clone())
    }

    /// Returns the flag or variable that has set the value at a pointer, or a part of it.
    pub(super) fn input_of(&self, pointer: &Pointer) -> Option<String> {
        let of_value = match self.of(pointer) {
            Origin::Override(source) => Some(source),
            Origin::File(_) => None,
        };
        let source = of_value.as_ref().or_else(|| self.entry_sources(pointer).next())?;
        matches!(source, OverrideSource::Flag(_) | OverrideSource::Variable(_)).then(|| source.to_string())
    }

    /// Returns the sources that overrode individual entries of the list or map at a pointer.
    pub fn entry_sources(&self, pointer: &Pointer) -> impl Iterator<Item = &OverrideSource> {
        self.overridden
            .iter()
            .filter(|(overridden, _)| overridden.parent().as_ref() == Some(pointer))
            .map(|(_, source)| source)
    }
}

/// Returns the part of `pointer` after `ancestor`, or `None` if `ancestor` is neither an ancestor nor the same pointer.
pub(super) fn strip_ancestor<'p>(pointer: &'p Pointer, ancestor: &Pointer) -> Option<&'p str> {
    let rest = pointer.as_str().strip_prefix(ancestor.as_str())?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Returns the entry of the nearest ancestor of a pointer (or of the pointer itself), with the rest of the pointer.
fn nearest<'a, 'p, T>(entries: &'a [(Pointer, T)], pointer: &'p Pointer) -> Option<(&'a T, &'p str)> {
    // Of several entries for one pointer, the last one is in effect.
    entries
        .iter()
        .rev()
        .filter_map(|(ancestor, entry)| Some((entry, strip_ancestor(pointer, ancestor)?)))
        .min_by_key(|(_, rest)| rest.len())
}
