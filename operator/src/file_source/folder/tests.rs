use super::*;

fn update(folder: &mut Folder, path: &str, text: &str) -> Vec<String> {
    told(folder.update(Path::new(path), Some(text)))
}

fn told(events: Vec<SourceEvent>) -> Vec<String> {
    let tell = |event| match event {
        SourceEvent::Apply(object) => format!("apply {}", object.key()),
        SourceEvent::Delete(key) => format!("delete {key}"),
        SourceEvent::Unreadable(object) => format!("unreadable {}", object.key),
        SourceEvent::Reset { kind, .. } => format!("reset {kind}"),
    };
    events.into_iter().map(tell).collect()
}

fn problems(folder: &Folder) -> Vec<String> {
    folder.problems().iter().map(|problem| format!("{}: {}", problem.location, problem.message)).collect()
}

fn service(name: &str, port: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n---\n")
}

#[test]
fn an_edit_of_one_object_is_one_event() {
    let mut folder = Folder::default();
    let (a, b) = (service("a", "80"), service("b", "80"));
    assert_eq!(update(&mut folder, "f", &format!("{a}{b}")), ["apply Service default/a", "apply Service default/b"]);
    assert_eq!(update(&mut folder, "f", &format!("{a}{}", service("b", "81"))), ["apply Service default/b"]);
    // Comments and order say nothing.
    assert_eq!(update(&mut folder, "f", &format!("# b first\n{}{a}", service("b", "81"))), Vec::<String>::new());
    assert_eq!(update(&mut folder, "f", &a), ["delete Service default/b"]);
    assert_eq!(told(folder.update(Path::new("f"), None)), ["delete Service default/a"]);
}

#[test]
fn a_text_that_is_no_yaml_changes_nothing() {
    let mut folder = Folder::default();
    update(&mut folder, "f", &service("a", "80"));
    assert_eq!(update(&mut folder, "f", "a: [\n"), Vec::<String>::new());
    let [problem] = &problems(&folder)[..] else { panic!("{:?}", folder.problems()) };
    assert!(problem.starts_with("f:2:1: ") && problem.ends_with("what it said before stays in force"), "{problem}");
    assert!(folder.locate(&ObjectKey::new(Kind::Service, "default", "a"), "").is_some());
    assert_eq!(update(&mut folder, "f", &service("a", "81")), ["apply Service default/a"]);
    assert_eq!(problems(&folder), Vec::<String>::new());
}

#[test]
fn an_object_that_cannot_be_read_stays_and_the_rest_goes_on() {
    let mut folder = Folder::default();
    update(&mut folder, "f", &format!("{}{}", service("a", "80"), service("b", "80")));
    let events = update(&mut folder, "f", &format!("{}{}", service("a", "eighty"), service("b", "81")));
    assert_eq!(events, ["apply Service default/b"]);
    let [problem] = &problems(&folder)[..] else { panic!("{:?}", folder.problems()) };
    assert!(problem.starts_with("f:4:17: spec.ports[0].port: invalid type"), "{problem}");
}

#[test]
fn the_first_of_two_definitions_counts() {
    let mut folder = Folder::default();
    update(&mut folder, "b", &service("a", "81"));
    assert_eq!(update(&mut folder, "a", &service("a", "80")), ["apply Service default/a"]);
    assert_eq!(problems(&folder), ["b:1:1: Service default/a stands in a too, and that one counts"]);
    assert_eq!(update(&mut folder, "b", &service("a", "82")), Vec::<String>::new());
    assert_eq!(told(folder.update(Path::new("a"), None)), ["apply Service default/a"]);
    assert_eq!(problems(&folder), Vec::<String>::new());
}

#[test]
fn lists_and_namespaces_are_kubectls() {
    let mut folder = Folder::default();
    let events = update(
        &mut folder,
        "f",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}}\n\
         - {apiVersion: v1, kind: Node, metadata: {name: a, namespace: dropped}}\n\
         - {apiVersion: v1, kind: Pod, metadata: {name: p}}\n",
    );
    assert_eq!(events, ["apply Service n/a", "apply Node a"]);
    let [ignored] = &folder.ignored()[..] else { panic!() };
    assert_eq!((ignored.kind.as_str(), ignored.name.as_str(), ignored.location.position.line), ("Pod", "p", 6));
}
