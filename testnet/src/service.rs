//! Services as kube-proxy makes them: destination NAT in nftables, for pods, host processes and outside clients.
//!
//! A redirect has to win over these rules while it is there, and they have to carry everything when it is not.

use std::net::SocketAddr;

use crate::{Namespace, Result};

/// One address and port of a service, and who answers behind it.
#[derive(Clone, Debug)]
pub struct Service {
    /// What clients dial.
    pub frontend: SocketAddr,
    /// Where it leads, in turn. None: refused, as kube-proxy does.
    pub backends: Vec<SocketAddr>,
}

impl Namespace {
    /// Puts rules for exactly these services in place of the former ones.
    ///
    /// # Errors
    /// If nftables refuses them.
    pub fn serve_by_nat(&self, services: &[Service]) -> Result<()> {
        self.nft(&rules(services))
    }
}

/// The whole table, replaced in one transaction. As in kube-proxy, the marked go out with the node's address.
fn rules(services: &[Service]) -> String {
    let (mut nat, mut refuse) = (String::new(), String::new());
    for service in services {
        let (frontend, backends) = (service.frontend, &service.backends);
        let family = if frontend.is_ipv4() { "ip" } else { "ip6" };
        let matches = format!("{family} daddr {} tcp dport {}", frontend.ip(), frontend.port());
        let mark = "meta mark set mark or 0x4000";
        match backends.as_slice() {
            [] => refuse.push_str(&format!("    {matches} reject with tcp reset\n")),
            [one] => nat.push_str(&format!("    {matches} {mark} dnat {family} to {one}\n")),
            many => {
                let to: Vec<_> = (0..).zip(many).map(|(n, to)| format!("{n} : {} . {}", to.ip(), to.port())).collect();
                let turn = format!("numgen inc mod {} map {{ {} }}", many.len(), to.join(", "));
                nat.push_str(&format!("    {matches} {mark} dnat {family} to {turn}\n"));
            }
        }
    }
    format!(
        "table inet kube-proxy\ndelete table inet kube-proxy\ntable inet kube-proxy {{
  chain services {{\n{nat}  }}
  chain refused {{\n{refuse}  }}
  chain prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
  chain output {{ type nat hook output priority -100; jump services; }}
  chain postrouting {{ type nat hook postrouting priority srcnat; meta mark and 0x4000 == 0x4000 masquerade; }}
  chain input {{ type filter hook input priority filter; jump refused; }}
  chain forward {{ type filter hook forward priority filter; jump refused; }}
  chain outgoing {{ type filter hook output priority filter; jump refused; }}
}}\n"
    )
}
