//! Services as kube-proxy's iptables mode makes them, by one of the two tools that are both called `iptables`.
//!
//! Unlike [`Namespace::serve_by_nat`] this masquerades only what has to be: clients that are no pods, and a pod that reaches
//! itself. Pods see each other's addresses.

use std::{fmt::Write as _, net::SocketAddr};

use crate::{Namespace, Result, Service};

/// Which of the kernel's tables the rules go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iptables {
    /// Tables of nftables, in which the tool writes as if they were its own.
    Nft,
    /// The older tables.
    Legacy,
}

impl Iptables {
    /// The programs that load rules, for IPv4 and for IPv6.
    const fn restore(self) -> [&'static str; 2] {
        match self {
            Self::Nft => ["iptables-nft-restore", "ip6tables-nft-restore"],
            Self::Legacy => ["iptables-legacy-restore", "ip6tables-legacy-restore"],
        }
    }
}

/// The pods of all nodes, IPv4 and IPv6.
const PODS: [&str; 2] = ["10.231.0.0/16", "fd00:231::/32"];

impl Namespace {
    /// Puts rules for exactly these services in place of whatever is in the tables.
    ///
    /// # Errors
    /// If the kernel or the tool refuses them.
    pub fn serve_by_iptables(&self, services: &[Service], which: Iptables) -> Result<()> {
        for ((program, pods), is_v4) in which.restore().into_iter().zip(PODS).zip([true, false]) {
            let of_family = services.iter().filter(|service| service.frontend.is_ipv4() == is_v4);
            self.feed(program, &[], &rules(of_family, pods))?;
        }
        Ok(())
    }
}

fn rules<'a>(services: impl Iterator<Item = &'a Service>, pods: &str) -> String {
    let (mut chains, mut nat, mut refuse) = (String::new(), String::new(), String::new());
    for (number, service) in services.enumerate() {
        let frontend = matches(service.frontend);
        if service.backends.is_empty() {
            for chain in ["INPUT", "FORWARD", "OUTPUT"] {
                line(&mut refuse, &format!("-A {chain} {frontend} -j REJECT --reject-with tcp-reset"));
            }
            continue;
        }
        line(&mut chains, &format!(":KUBE-SVC-{number} - [0:0]"));
        line(&mut nat, &format!("-A KUBE-SERVICES {frontend} -j KUBE-SVC-{number}"));
        line(&mut nat, &format!("-A KUBE-SVC-{number} ! -s {pods} -j KUBE-MARK-MASQ"));
        let left = (1..=service.backends.len()).rev();
        for (at, (backend, left)) in service.backends.iter().zip(left).enumerate() {
            let (chain, share) = (format!("KUBE-SEP-{number}-{at}"), 1.0 / left as f64);
            line(&mut chains, &format!(":{chain} - [0:0]"));
            line(
                &mut nat,
                &format!("-A KUBE-SVC-{number} -m statistic --mode random --probability {share} -j {chain}"),
            );
            line(&mut nat, &format!("-A {chain} -s {} -j KUBE-MARK-MASQ", backend.ip()));
            line(&mut nat, &format!("-A {chain} -p tcp -j DNAT --to-destination {backend}"));
        }
    }
    format!(
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n{chains}\
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE
{nat}COMMIT
*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]
{refuse}-A FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT\n"
    )
}

fn matches(frontend: SocketAddr) -> String {
    format!("-d {} -p tcp -m tcp --dport {}", frontend.ip(), frontend.port())
}

fn line(to: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(to, "{text}");
}
