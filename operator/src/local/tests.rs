use super::*;
use crate::source::{ServicePort, ServiceType};

fn pools(cluster: &str) -> Pools {
    Pools {
        cluster: vec![cluster.parse().unwrap(), "fd00:96::/112".parse().unwrap()],
        load_balancer: vec!["192.0.2.0/28".parse().unwrap()],
        node_ports: 30000..=30009,
    }
}

fn make(name: &str, type_: ServiceType) -> Service {
    let port =
        ServicePort { name: String::new(), port: 80, node_port: None, protocol: Protocol::Tcp, app_protocol: None };
    Service {
        meta: Meta::named("default", name),
        type_,
        cluster_ips: Vec::new(),
        headless: false,
        is_ipv6_first: false,
        external_ips: Vec::new(),
        load_balancer: Vec::new(),
        source_ranges: Vec::new(),
        keeps_clients: false,
        ports: vec![port],
        has_selector: true,
        is_ingress: false,
        written: Written::default(),
    }
}

fn complete(local: &mut Local, service: Service) -> Service {
    match local.complete(SourceEvent::Apply(Object::Service(service))) {
        SourceEvent::Apply(Object::Service(service)) => service,
        other => panic!("{other:?}"),
    }
}

#[test]
fn addresses_are_the_same_after_a_restart_and_an_edit() {
    let mut local = Local::new(pools("10.96.0.0/16"));
    let first = complete(&mut local, make("web", ServiceType::LoadBalancer));
    assert_eq!((first.cluster_ips.len(), first.load_balancer.len()), (2, 1));
    assert!(first.cluster_ips[0].is_ipv4() && first.cluster_ips[1].is_ipv6());
    assert!(first.ports[0].node_port.is_some_and(|port| (30000..=30009).contains(&port)));
    complete(&mut local, make("other", ServiceType::LoadBalancer));
    assert_eq!(complete(&mut local, make("web", ServiceType::LoadBalancer)), first);
    assert_eq!(complete(&mut Local::new(pools("10.96.0.0/16")), make("web", ServiceType::LoadBalancer)), first);
}

#[test]
fn nobody_gets_what_another_one_has() {
    let mut local = Local::new(pools("10.96.0.0/29"));
    let mut seen = BTreeSet::new();
    for at in 0..6 {
        let service = complete(&mut local, make(&format!("s{at}"), ServiceType::ClusterIp));
        assert!(seen.insert(service.cluster_ips[0]), "{service:?}");
    }
    // Six addresses are all there are: the first and the last of eight are for nobody.
    assert_eq!(complete(&mut local, make("late", ServiceType::ClusterIp)).cluster_ips, Vec::<std::net::IpAddr>::new());
    local.complete(SourceEvent::Delete(ObjectKey::new(Kind::Service, "default", "s3")));
    assert_eq!(complete(&mut local, make("late", ServiceType::ClusterIp)).cluster_ips.len(), 2);
}

#[test]
fn what_is_written_out_is_kept() {
    let mut local = Local::new(pools("10.96.0.0/16"));
    let taken = complete(&mut local, make("web", ServiceType::ClusterIp)).cluster_ips[0];
    let mut local = Local::new(pools("10.96.0.0/16"));
    let mut explicit = make("explicit", ServiceType::ClusterIp);
    explicit.cluster_ips = vec![taken];
    let objects = vec![Object::Service(make("web", ServiceType::ClusterIp)), Object::Service(explicit.clone())];
    let SourceEvent::Reset { objects, .. } = local.complete(SourceEvent::reset(Kind::Service, objects)) else {
        panic!()
    };
    let [Object::Service(web), Object::Service(kept)] = &objects[..] else { panic!("{objects:?}") };
    assert_ne!(web.cluster_ips[0], taken);
    assert_eq!(kept, &explicit);
    let mut headless = make("headless", ServiceType::ClusterIp);
    headless.headless = true;
    assert_eq!(complete(&mut local, headless.clone()), headless);
}

#[test]
fn the_charts_classes_are_there_unless_written() {
    let mut local = Local::new(pools("10.96.0.0/16"));
    let mine = IngressClass {
        meta: Meta::named("", "cilium"),
        controller: "mine".to_owned(),
        default: None,
        parameters: None,
    };
    let listing = SourceEvent::reset(Kind::IngressClass, vec![Object::IngressClass(mine.clone())]);
    let SourceEvent::Reset { objects, .. } = local.complete(listing) else { panic!() };
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0], Object::IngressClass(mine.clone()));
    // When the written one goes, the chart's is back.
    let SourceEvent::Apply(Object::IngressClass(class)) =
        local.complete(SourceEvent::Delete(Object::IngressClass(mine).key()))
    else {
        panic!()
    };
    assert_eq!(class.controller, names::INGRESS_CONTROLLERS[1]);
}

#[test]
fn networks_are_understood_or_refused() {
    assert!("10.0.0.0/8".parse::<Network>().is_ok());
    for wrong in ["10.0.0.0", "10.0.0.0/33", "::/0", "x/8", "10.0.0.0/x"] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
}
