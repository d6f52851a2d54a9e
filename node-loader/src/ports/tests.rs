use proptest::prelude::*;

use super::*;

fn all(_: u16) -> bool {
    true
}

fn name(text: &str) -> Arc<str> {
    text.into()
}

#[test]
fn a_range_is_read_as_it_is_written() {
    assert_eq!("10000-20000".parse(), Ok(PortRange::DEFAULT));
    for wrong in ["", "10000", "0-10", "20-10", "1-70000", "a-b"] {
        assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
    }
}

#[test]
fn a_name_keeps_its_port_and_finds_it_again() {
    let mut ports = Ports::new(PortRange::DEFAULT);
    let web = ports.allocate(&name("web"), &all).unwrap();
    assert_eq!(ports.allocate(&name("web"), &all), Ok(web));
    ports.release(&name("web"));
    assert_eq!(ports.resting(), BTreeSet::from([web]));
    let other = ports.allocate(&name("other"), &all).unwrap();
    assert_ne!(other, web);
    assert_eq!(ports.allocate(&name("web"), &all), Ok(web));
}

#[test]
fn a_port_that_cannot_be_bound_is_passed_over() {
    let mut ports = Ports::new(PortRange::DEFAULT);
    let first = Ports::new(PortRange::DEFAULT).allocate(&name("web"), &all).unwrap();
    assert_ne!(ports.allocate(&name("web"), &|port| port != first), Ok(first));
}

#[test]
fn a_conflict_leads_to_another_port() {
    let mut ports = Ports::new("10-11".parse().unwrap());
    let first = ports.allocate(&name("web"), &all).unwrap();
    let second = ports.replace(&name("web"), &all).unwrap();
    assert_ne!(first, second);
    assert_eq!(ports.holder(second), Some(&name("web")));
}

#[test]
fn rest_ends_when_nothing_else_is_left() {
    let mut ports = Ports::new("10-11".parse().unwrap());
    let a = ports.allocate(&name("a"), &all).unwrap();
    ports.allocate(&name("b"), &all).unwrap();
    assert!(ports.allocate(&name("c"), &all).is_err());
    ports.release(&name("a"));
    assert_eq!(ports.allocate(&name("c"), &all), Ok(a));
}

#[test]
fn a_listening_socket_takes_its_port() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    assert!(!is_free(port, false));
}

proptest! {
    #[test]
    fn nobody_shares(steps in prop::collection::vec((0..12_u8, 0..3_u8), 0..200)) {
        let mut ports = Ports::new("100-107".parse().unwrap());
        for (who, what) in steps {
            let who = name(&who.to_string());
            match what {
                0 => { let _ = ports.allocate(&who, &all); }
                1 => { let _ = ports.replace(&who, &all); }
                _ => ports.release(&who),
            }
            let held: BTreeSet<_> = ports.held.values().copied().collect();
            prop_assert_eq!(held.len(), ports.held.len());
            prop_assert_eq!(&held, &ports.holders.keys().copied().collect());
            prop_assert!(held.is_disjoint(&ports.resting()));
            prop_assert_eq!(ports.resting.len(), ports.rested.len());
        }
    }
}
