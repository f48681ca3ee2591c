//! What may have been meant by a name that is not known.

use opstead_client::schema::METHODS;

/// How alike two names must be: 1 is the same.
const LEAST: f64 = 0.75;

/// The method that a name is a slip of, if one is: of these, or of the daemon's own.
pub(super) fn method<'a>(
    name: &str,
    methods: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase();
    let likeness = |known: &str| {
        let known = known.to_lowercase();
        let short = known
            .split_once('.')
            .map_or(known.as_str(), |(_, short)| short);
        let each = [known.as_str(), short]
            .map(|known| strsim::normalized_damerau_levenshtein(&name, known));
        each[0].max(each[1])
    };
    let own = METHODS.iter().map(|method| method.name);
    let all = methods.into_iter().chain(own);
    let alike = all.map(|known| (known, likeness(known)));
    let (known, likeness) = alike.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (likeness >= LEAST).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_noticed_and_another_word_is_none() {
        let known = [
            "storage.copyImage",
            "storage.createImage",
            "diagnostic.noop",
        ];
        for (name, meant) in [
            ("storage.copyimage", Some("storage.copyImage")),
            ("storage.copyImgae", Some("storage.copyImage")),
            ("copyImage", Some("storage.copyImage")),
            ("storage.creatImage", Some("storage.createImage")),
            ("operations.dismis", Some("operations.dismiss")),
            ("storage.frobnicate", None),
            ("vm.start", None),
            ("", None),
        ] {
            assert_eq!(method(name, known), meant, "{name}");
        }
    }
}
