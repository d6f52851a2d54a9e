//! What Envoy says of a configuration, without the configuration.

/// The reason in Envoy's log: no log prefix, no dump of the message that it is about.
pub(super) fn essence(log: &str) -> String {
    const BEGIN: &str = "error initializing configuration '";
    const CONSTRAINT: &str = "Proto constraint validation failed (";
    let said = log.split_once(BEGIN).and_then(|(_, rest)| rest.split_once("': ")).map_or(log, |(_, rest)| rest).trim();
    if let Some((_, reason)) = said.rsplit_once(CONSTRAINT) {
        return reason.trim_end().trim_end_matches(')').to_owned();
    }
    // A dump begins with this word or one like it, in the same line as the reason.
    let said = said.split_once("goo.gle/debug").map_or(said, |(before, _)| before).trim();
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or("it gives no reason").trim_end_matches(" in:").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "[2026-11-21 11:07:33.182][1][critical][main] [server.cc:76] error initializing configuration 'c.json': ";

    #[test]
    fn the_dump_is_left_out() {
        let said = |text: &str| essence(&format!("{HEAD}{text}\n"));
        assert_eq!(said("missing ): (("), "missing ): ((");
        let constraint = "goo.gle/debugonly \nstatic_resources {\n}\n: Proto constraint validation failed (A.B: value must \
                          be greater than 0s)";
        assert_eq!(said(constraint), "A.B: value must be greater than 0s");
        assert_eq!(
            said("Field 'weight' is missing in: goo.gle/debugstr  \nname: \"b\"\n"),
            "Field 'weight' is missing"
        );
        assert_eq!(essence(""), "it gives no reason");
    }
}
