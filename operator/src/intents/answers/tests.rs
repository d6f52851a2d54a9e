use super::*;

fn acked(version: Option<&str>) -> Outcome {
    Outcome::Acked { type_url: "t".into(), name: "r".into(), version: version.map(Into::into) }
}

fn nacked(version: &str, message: &str) -> Outcome {
    let version = Some(version.into());
    Outcome::Nacked { type_url: "t".into(), name: "r".into(), version, message: message.to_owned() }
}

fn said(answers: &Answers, node: &str, version: &str) -> String {
    let (voice, heard) = (answers.voices.get(node), answers.heard(&("t".into(), "r".into())));
    let said = voice.zip(heard).map_or(Said::Nothing, |(voice, heard)| heard.said(*voice, version));
    match said {
        Said::Nothing => "nothing".to_owned(),
        Said::Runs => "runs".to_owned(),
        Said::Refuses(message) => message.to_string(),
    }
}

#[test]
fn the_last_answer_counts_and_only_for_its_version() {
    let mut answers = Answers::default();
    answers.note("n", &acked(Some("1")));
    assert!(answers.heard.is_empty(), "a node that is not connected says nothing");
    answers.connected("n");
    answers.note("n", &acked(Some("1")));
    assert_eq!(
        [said(&answers, "n", "1"), said(&answers, "n", "2"), said(&answers, "m", "1")],
        ["runs", "nothing", "nothing"]
    );
    answers.note("n", &nacked("2", "no"));
    assert_eq!([said(&answers, "n", "1"), said(&answers, "n", "2")], ["nothing", "no"]);
    answers.note("n", &acked(Some("2")));
    assert_eq!(said(&answers, "n", "2"), "runs");
    answers.note("n", &acked(None));
    assert!(answers.heard.is_empty());
}

#[test]
fn what_a_node_said_stands_over_a_reconnect_until_it_says_otherwise() {
    let mut answers = Answers::default();
    answers.connected("n");
    answers.note("n", &acked(Some("1")));
    answers.gone("n");
    assert_eq!((said(&answers, "n", "1"), answers.connections()), ("runs".to_owned(), 0));
    answers.connected("n");
    assert_eq!((said(&answers, "n", "1"), answers.connections()), ("runs".to_owned(), 1));
    answers.note("n", &nacked("1", "not any more"));
    assert_eq!(said(&answers, "n", "1"), "not any more");
    answers.forget("n");
    assert_eq!(said(&answers, "n", "1"), "not any more");
}

#[test]
fn what_is_not_said_again_is_forgotten_and_leaves_nothing() {
    let mut answers = Answers::default();
    answers.connected("n");
    answers.note("n", &acked(Some("1")));
    answers.gone("n");
    answers.connected("n");
    answers.forget("n");
    assert_eq!(said(&answers, "n", "1"), "nothing");
    assert!(answers.heard.is_empty());
    answers.gone("n");
    answers.forget("n");
    assert_eq!(answers.present().count(), 0);
    // Its number is another node's now, its answers are not.
    answers.connected("m");
    assert_eq!(said(&answers, "m", "1"), "nothing");
}

#[test]
fn a_node_with_a_loader_is_absent_until_it_connects() {
    let mut answers = Answers::default();
    let nodes: BTreeSet<Arc<str>> = ["a", "b"].map(Into::into).into();
    assert!(answers.expect(nodes.clone()));
    assert!(!answers.expect(nodes));
    answers.connected("b");
    assert_eq!(answers.absent().map(|node| &**node).collect::<Vec<_>>(), ["a"]);
    answers.gone("b");
    assert_eq!(answers.absent().count(), 1, "it may come back in a moment");
    answers.forget("b");
    assert_eq!(answers.absent().count(), 2);
}
