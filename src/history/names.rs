//! Which names a pattern may cover, among names in their order.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use crate::bayeux::ChannelPattern;

/// Returns what stands for the channels that are below a pattern, as far as a name tells, or for the one of its name.
/// Those of a pattern that ends in `/*` have to be checked.
pub(super) fn below<N: Copy>(
    names: &BTreeMap<ChannelPattern, N>,
    pattern: &ChannelPattern,
) -> impl Iterator<Item = N> {
    let text = pattern.as_str();
    let base = text
        .strip_suffix("**")
        .or_else(|| text.strip_suffix('*'))
        .filter(|base| base.ends_with('/'));
    let exact = base.is_none().then(|| names.get(text)).flatten();
    let range = base.map(|base| {
        let range = names.range::<str, _>((Excluded(base), Unbounded));
        range.take_while(move |(name, _)| name.as_str().starts_with(base))
    });
    let range = range.into_iter().flatten().map(|(_, number)| number);
    exact.into_iter().chain(range).copied()
}
