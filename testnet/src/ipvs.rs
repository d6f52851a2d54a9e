//! Services as kube-proxy's ipvs mode makes them: virtual servers in the kernel, addresses on a device that is down, and rules
//! that masquerade everything.

use std::{fmt::Write as _, net::SocketAddr};

use crate::{Namespace, Result, Service};

/// Where kube-proxy keeps the addresses of services.
const DEVICE: &str = "kube-ipvs0";

impl Namespace {
    /// Adds these services to a node that has none.
    ///
    /// # Errors
    /// If the kernel has no IPVS, or there is no `ipvsadm`.
    pub fn serve_by_ipvs(&self, services: &[Service]) -> Result<()> {
        // The module makes its settings, and comes with the first call.
        self.feed("ipvsadm", &["--restore"], &servers(services))?;
        for (sysctl, value) in [
            ("vs.conntrack", "1"),
            ("vs.conn_reuse_mode", "0"),
            ("vs.expire_nodest_conn", "1"),
            ("vs.expire_quiescent_template", "1"),
            ("conf.all.arp_ignore", "1"),
            ("conf.all.arp_announce", "2"),
        ] {
            self.set(&format!("ipv4.{sysctl}"), value)?;
        }
        let own = self.address.each();
        let mut lines = vec![format!("link add {DEVICE} type dummy")];
        for service in services.iter().map(|service| service.frontend.ip()).filter(|ip| !own.contains(ip)) {
            lines.push(format!("addr replace {service} dev {DEVICE}"));
        }
        self.ip(lines)?;
        self.nft(&rules(services))
    }
}

fn servers(services: &[Service]) -> String {
    let mut text = String::new();
    for Service { frontend, backends } in services {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "-A -t {frontend} -s rr");
        for backend in backends {
            let _ = writeln!(text, "-a -t {frontend} -r {backend} -m");
        }
    }
    text
}

fn rules(services: &[Service]) -> String {
    let set = |is_v4: bool| {
        let of_family = services.iter().map(|it| it.frontend).filter(|it| it.is_ipv4() == is_v4);
        of_family.map(|it: SocketAddr| format!("{} . {}", it.ip(), it.port())).collect::<Vec<_>>().join(", ")
    };
    let (v4, v6) = (set(true), set(false));
    let mark = "meta mark set mark or 0x4000";
    let matches = format!("ip daddr . tcp dport {{ {v4} }} {mark}\n    ip6 daddr . tcp dport {{ {v6} }} {mark}");
    format!(
        "table inet kube-proxy {{
  chain prerouting {{ type nat hook prerouting priority dstnat;\n    {matches}\n  }}
  chain output {{ type nat hook output priority -100;\n    {matches}\n  }}
  chain postrouting {{ type nat hook postrouting priority srcnat; meta mark and 0x4000 == 0x4000 masquerade; }}
}}\n"
    )
}
