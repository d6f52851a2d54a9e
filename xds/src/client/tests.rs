//! One test per rule of a client.

use super::*;

const TYPE: &str = "t";

fn client() -> Client {
    let mut client = Client::new(Node { id: "node-1".to_owned(), ..Node::default() }, [TYPE]);
    client.connect();
    client
}

fn resource(body: &'static str) -> Resource {
    Resource::new(TYPE, "a", body)
}

fn response(nonce: &str, resources: &[Resource], removed: &[&str]) -> Response {
    Response {
        type_url: TYPE.to_owned(),
        nonce: nonce.to_owned(),
        resources: resources.iter().map(Resource::to_wire).collect(),
        removed_resources: removed.iter().map(ToString::to_string).collect(),
    }
}

/// The receipt of the one update in a response.
fn receive(client: &mut Client, nonce: &str, body: Option<&'static str>) -> Receipt {
    let response = match body {
        Some(body) => response(nonce, &[resource(body)], &[]),
        None => response(nonce, &[], &["a"]),
    };
    client.on_response(response).updates.remove(0).receipt
}

/// What the next stream begins with.
fn held(client: &mut Client) -> BTreeMap<String, String> {
    client.connect().remove(0).initial_resource_versions
}

fn only(version: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("a".to_owned(), version.to_owned())])
}

#[test]
fn a_stream_begins_with_one_wildcard_per_type_and_the_node_once() {
    let mut client = Client::new(Node { id: "node-1".to_owned(), ..Node::default() }, ["t", "u"]);
    let requests = client.connect();
    let types: Vec<_> = requests.iter().map(|request| request.type_url.as_str()).collect();
    assert_eq!(types, ["t", "u"]);
    assert_eq!(requests[0].node.as_ref().map(|node| node.id.as_str()), Some("node-1"));
    assert_eq!(requests[1].node, None);
    assert!(requests.iter().all(|request| request.resource_names_subscribe == ["*"]));
}

#[test]
fn an_update_is_held_once_it_is_settled() {
    let mut client = client();
    let received = client.on_response(response("1", &[resource("x")], &[]));
    assert_eq!(received.request, None, "nothing is acknowledged on sight");
    let update = received.updates.into_iter().next().unwrap();
    assert_eq!(update.change, Change::Put(resource("x")));
    let ack = client.settle(update.receipt, Ok(())).unwrap();
    assert_eq!((ack.type_url.as_str(), ack.response_nonce.as_str(), ack.error_detail), (TYPE, "1", None));
    assert_eq!(held(&mut client), only(&resource("x").version));
}

#[test]
fn a_refusal_carries_the_reason_and_keeps_what_was_held() {
    let mut client = client();
    let receipt = receive(&mut client, "1", Some("good"));
    client.settle(receipt, Ok(()));
    let receipt = receive(&mut client, "2", Some("bad"));
    let nack = client.settle(receipt, Err("no such port".to_owned())).unwrap();
    assert_eq!(nack.error_detail, Some(Status { code: 13, message: "no such port".to_owned() }));
    assert_eq!(held(&mut client), only(&resource("good").version));
}

#[test]
fn what_is_refused_or_open_is_reported_without_a_version() {
    let mut client = client();
    let receipt = receive(&mut client, "1", Some("bad"));
    assert_eq!(held(&mut client), only(""), "open");
    client.settle(receipt, Err("no".to_owned()));
    assert_eq!(held(&mut client), only(""), "refused, and nothing good before");

    let good = receive(&mut client, "2", Some("good"));
    client.settle(good, Ok(()));
    let open = receive(&mut client, "3", Some("later"));
    assert_eq!(held(&mut client), only(""), "its owner may put it in force at any time");
    client.settle(open, Ok(()));
    assert_eq!(held(&mut client), only(&resource("later").version));
}

#[test]
fn a_settled_removal_is_forgotten() {
    let mut client = client().with_held([resource("x")]);
    assert_eq!(held(&mut client), only(&resource("x").version));
    let receipt = receive(&mut client, "1", None);
    assert_eq!(held(&mut client), only(""));
    client.settle(receipt, Ok(()));
    assert_eq!(held(&mut client), BTreeMap::new());
}

#[test]
fn a_receipt_of_an_older_stream_counts_but_is_not_sent() {
    let mut client = client();
    let receipt = receive(&mut client, "1", Some("x"));
    client.connect();
    assert_eq!(client.settle(receipt, Ok(())), None);
    assert_eq!(held(&mut client), only(&resource("x").version));
}

#[test]
fn the_later_update_has_the_last_word() {
    let mut client = client();
    let first = receive(&mut client, "1", Some("first"));
    let second = receive(&mut client, "2", Some("second"));
    assert_eq!(client.settle(second, Ok(())).unwrap().response_nonce, "2");
    assert_eq!(client.settle(first, Ok(())).unwrap().response_nonce, "1");
    assert_eq!(held(&mut client), only(&resource("second").version));
}

#[test]
fn an_update_before_a_removal_has_no_say_after_it() {
    let mut client = client();
    let first = receive(&mut client, "1", Some("first"));
    let removal = receive(&mut client, "2", None);
    client.settle(removal, Ok(()));
    let third = receive(&mut client, "3", Some("bad"));
    client.settle(first, Ok(()));
    client.settle(third, Err("no".to_owned()));
    assert_eq!(held(&mut client), only(""), "the first is not in force any more");
}

#[test]
fn while_anything_is_open_nobody_knows_what_is_in_force() {
    let mut client = client();
    let first = receive(&mut client, "1", Some("first"));
    let removal = receive(&mut client, "2", None);
    let third = receive(&mut client, "3", Some("bad"));
    client.settle(first, Ok(()));
    client.settle(third, Err("no".to_owned()));
    assert_eq!(held(&mut client), only(""), "the removal may be in force");
    client.settle(removal, Ok(()));
    assert_eq!(held(&mut client), only(""), "nothing is held, and the third was refused");
}

#[test]
fn a_response_is_answered_once_with_every_reason() {
    let mut client = client();
    let received = client.on_response(response("1", &[resource("x")], &["b", "c"]));
    let mut receipts = received.updates.into_iter().map(|update| update.receipt);
    assert_eq!(client.settle(receipts.next().unwrap(), Err("one".to_owned())), None);
    assert_eq!(client.settle(receipts.next().unwrap(), Ok(())), None);
    let nack = client.settle(receipts.next().unwrap(), Err("two".to_owned())).unwrap();
    assert_eq!(nack.error_detail.unwrap().message, "one; two");
}

#[test]
fn an_empty_response_is_acknowledged_at_once() {
    let received = client().on_response(response("7", &[], &[]));
    assert_eq!(received.request.unwrap().response_nonce, "7");
    assert!(received.updates.is_empty());
}

#[test]
fn an_ack_can_be_taken_back() {
    let mut client = client();
    let receipt = receive(&mut client, "1", Some("first"));
    client.settle(receipt, Ok(()));
    let receipt = receive(&mut client, "2", Some("second"));
    client.settle(receipt, Ok(()));
    let first = resource("first").version;
    let request = client.take_back(&(TYPE.into(), "a".into()), Some(first.clone()));
    assert_eq!(request.resource_names_subscribe, ["a"]);
    assert_eq!(held(&mut client), only(&first));
}
