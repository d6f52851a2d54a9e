//! kube-proxy in ipvs mode, beside which nobody is redirected: IPVS would give to a backend what the proxy has taken, and nobody
//! would answer. What matters is that services are as they would be without us.

use axoneme_testnet::{Layout, wait_until};

use crate::{
    SOON,
    ground::{Ground, Nat, Stage},
    talk::dial,
};

#[test]
fn edge_24_services_of_ipvs_are_left_alone() {
    let ground = Ground::new("ipvs", Layout::Routed);
    if let Err(why) = ground.node.run("ipvsadm", ["--list"]) {
        println!("ipvs: not on this kernel: {why}");
        return;
    }
    let mut stage = ground.stage(Nat::Ipvs);
    let _proxy = stage.proxy();
    stage.redirect();
    stage.everybody_meets_the_backend("beside IPVS");
    stage.end();
}

#[test]
fn edge_24_the_redirect_is_on_when_kube_proxy_is_not_in_ipvs_mode() {
    let mut stage = Ground::new("ipvs-goes", Layout::Bridge).stage(Nat::Nftables);
    let _proxy = stage.proxy();
    stage.redirect();
    stage.everybody_meets_the_proxy("before");
    // Any kind of device: the name is what tells.
    stage.ground.node.ip(["link add kube-ipvs0 type veth peer name other"]).unwrap();
    everybody_comes_to("backend", &stage);
    stage.ground.node.ip(["link del kube-ipvs0"]).unwrap();
    everybody_comes_to("proxy", &stage);
    stage.everybody_meets_the_proxy("after");
    stage.end();
}

/// A loader needs a moment to see what the node is like, and the kernel one to stop a program.
fn everybody_comes_to(who: &str, stage: &Stage) {
    let (places, frontends) = (stage.ground.places(), stage.ground.frontends());
    let all_do = || {
        let mut talks = places.iter().flat_map(|place| frontends.iter().map(move |frontend| dial(place, *frontend)));
        Ok(talks.all(|talk| talk.is_ok_and(|talk| talk.who == who)))
    };
    wait_until(&format!("everybody to meet the {who}"), SOON, all_do).unwrap();
}
