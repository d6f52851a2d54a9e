//! Follows the node's devices, addresses and routes, so that a new pod's device is covered within milliseconds.

use std::{net::IpAddr, sync::Arc};

use axoneme_bpf_common as bpf;
use futures::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder, packet_core::NetlinkPayload, packet_route::RouteNetlinkMessage,
};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    attachment::Attachment,
    bridges::Bridges,
    config::Config,
    devices::{Devices, Hook},
    frontends::Settings,
    messages,
    near::Near,
    netfilter::{Deletions, Table},
    pins::Pins,
    programs::Programs,
    routing::{self, Sources},
};
use crate::{datapath::DatapathError, metrics as names};

mod filters;
mod table;

use filters::Deleted;

const GROUPS: [MulticastGroup; 7] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

type Events = futures::channel::mpsc::UnboundedReceiver<(
    rtnetlink::packet_core::NetlinkMessage<RouteNetlinkMessage>,
    rtnetlink::sys::SocketAddr,
)>;

/// What runs beside a [`super::Kernel`]: attaches to devices that come, and keeps rules and routes in place.
///
/// Nothing is undone when it is dropped: the kernel goes on as it was, only new devices are not covered.
pub struct Watcher {
    config: Config,
    pins: Pins,
    programs: Programs,
    settings: Settings,
    near: Near,
    bridges: Bridges,
    netns_cookie: u64,
    netlink: Netlink,
    table: Arc<Table>,
    deletions: Deletions,
    /// Shared with who asks for the layout; never locked for longer than a look.
    devices: Arc<Mutex<Devices>>,
    attached: std::collections::BTreeMap<u32, Hook>,
    deleted: Deleted,
    sources: Sources,
    addresses: watch::Sender<Vec<IpAddr>>,
}

/// Two connections, whose drivers end with them. Events that come faster than they are read push everything else out of their
/// socket: an answer that was lost there would be waited for without end.
struct Netlink {
    handle: Handle,
    events: Events,
    drivers: [JoinHandle<()>; 2],
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.drivers.iter().for_each(JoinHandle::abort);
    }
}

impl Netlink {
    fn open(attachment: Attachment) -> Result<Self, DatapathError> {
        let failed = |error| DatapathError::io("open a netlink socket for the node's devices", error);
        // Links are nobody else's to take off.
        let filters = (attachment == Attachment::Clsact).then_some(MulticastGroup::Tc);
        let groups: Vec<MulticastGroup> = GROUPS.into_iter().chain(filters).collect();
        let (listener, _, events) = rtnetlink::new_multicast_connection(&groups).map_err(failed)?;
        let (asker, handle, _) = rtnetlink::new_connection().map_err(failed)?;
        Ok(Self { handle, events, drivers: [tokio::spawn(listener), tokio::spawn(asker)] })
    }
}

impl Watcher {
    /// Puts everything in place, in the order in which a packet needs it: what a mark means before anybody marks.
    pub(crate) async fn start(
        config: Config,
        pins: Pins,
        programs: Programs,
        maps: (Settings, Near, Bridges),
        table: Arc<Table>,
        netns_cookie: u64,
    ) -> Result<Self, DatapathError> {
        let (settings, near, bridges) = maps;
        let devices =
            Devices { uplinks: config.uplinks.clone(), ignored: config.ignored_devices.clone(), ..Devices::default() };
        // Subscribed before it lists, so that nothing falls in between.
        let netlink = Netlink::open(programs.attachment())?;
        let deletions = Deletions::hear(&config.nft_table)?;
        let mut watcher = Self {
            config,
            pins,
            programs,
            settings,
            near,
            bridges,
            netns_cookie,
            netlink,
            table,
            deletions,
            devices: Arc::new(Mutex::new(devices)),
            attached: std::collections::BTreeMap::new(),
            deleted: Deleted::default(),
            sources: Sources::default(),
            addresses: watch::Sender::default(),
        };
        watcher.start_over().await?;
        Ok(watcher)
    }

    pub(crate) fn addresses(&self) -> watch::Receiver<Vec<IpAddr>> {
        self.addresses.subscribe()
    }

    pub(crate) fn devices(&self) -> Arc<Mutex<Devices>> {
        Arc::clone(&self.devices)
    }

    pub(crate) fn programs(&mut self) -> &mut Programs {
        &mut self.programs
    }

    /// Names and numbers of the devices that have a program, for people.
    pub fn attached(&self) -> Vec<(String, &'static str)> {
        let name = |index: &u32| self.devices.lock().devices.get(index).map(|device| device.name.clone());
        self.attached.iter().filter_map(|(index, hook)| Some((name(index)?, hook.program()))).collect()
    }

    /// Follows the node until dropped. Ends only with an error that a new start may cure.
    pub async fn run(mut self) -> Result<(), DatapathError> {
        loop {
            loop {
                let result = tokio::select! {
                    event = self.netlink.events.next() => match event.map(|(message, _)| message.payload) {
                        Some(NetlinkPayload::InnerMessage(message)) => self.follow(message).await,
                        Some(NetlinkPayload::Overrun(_)) => self.overrun().await,
                        Some(_) => Ok(()),
                        None => break,
                    },
                    () = self.deleted.settled() => self.put_back_filters(),
                    heard = self.deletions.next() => heard.and_then(|()| self.put_back_table()),
                };
                if let Err(error) = result {
                    names::count_error(&error);
                    tracing::error!(%error, "the datapath could not follow a change of the node");
                }
            }
            self.netlink = Netlink::open(self.programs.attachment())?;
            self.overrun().await?;
        }
    }

    /// More happened than fits into the socket, or the stream broke.
    async fn overrun(&mut self) -> Result<(), DatapathError> {
        metrics::counter!(names::NETLINK_RESYNCS).increment(1);
        tracing::warn!("events of the node's devices were lost; listing all again");
        self.start_over().await
    }

    /// One event. Cost: what changed, but for a change of default routes, which lists the routes again.
    async fn follow(&mut self, message: RouteNetlinkMessage) -> Result<(), DatapathError> {
        match message {
            RouteNetlinkMessage::NewLink(link) => {
                let Some((index, device)) = messages::device(&link) else { return Ok(()) };
                self.bridges.set(index, messages::link_address(&link), device.master)?;
                if self.devices.lock().set(index, device) {
                    tracing::info!("kube-proxy began its ipvs mode");
                    self.apply_ipvs().await?;
                }
                // Also when nothing changed: an attachment that failed is tried again with every sign of life.
                self.apply_device(index)
            }
            RouteNetlinkMessage::DelLink(link) => {
                let Some((index, _)) = messages::device(&link) else { return Ok(()) };
                let ipvs = self.devices.lock().forget(index);
                self.near.forget_device(index)?;
                self.bridges.forget(index)?;
                if ipvs {
                    tracing::info!("kube-proxy left its ipvs mode");
                    self.apply_ipvs().await?;
                }
                self.apply_device(index)
            }
            RouteNetlinkMessage::NewAddress(address) => {
                let changed = messages::address(&address).is_some_and(|it| self.devices.lock().addresses.insert(it));
                if changed { self.apply_addresses(false).await } else { Ok(()) }
            }
            RouteNetlinkMessage::DelAddress(address) => {
                let changed = messages::address(&address).is_some_and(|it| self.devices.lock().addresses.remove(&it));
                if changed { self.apply_addresses(false).await } else { Ok(()) }
            }
            RouteNetlinkMessage::NewRoute(route) if messages::is_default(&route) => self.routes_changed().await,
            RouteNetlinkMessage::DelRoute(route) if messages::is_default(&route) => self.routes_changed().await,
            RouteNetlinkMessage::NewRoute(route) => {
                messages::subnet(&route).map_or(Ok(()), |(range, device)| self.near.add_route(range, device))
            }
            RouteNetlinkMessage::DelRoute(route) => {
                let tables = [self.config.routing.taken_table, self.config.routing.host_table];
                if tables.contains(&routing::table(&route)) {
                    return self.put_back("route").await;
                }
                messages::subnet(&route).map_or(Ok(()), |(range, device)| self.near.remove_route(range, device))
            }
            RouteNetlinkMessage::DelQueueDiscipline(it) | RouteNetlinkMessage::DelTrafficFilter(it) => {
                self.deleted.at(it.header.index);
                Ok(())
            }
            RouteNetlinkMessage::DelRule(rule) if routing::is_ours(&rule, &self.config) => self.put_back("rule").await,
            _ => Ok(()),
        }
    }

    async fn put_back(&self, what: &'static str) -> Result<(), DatapathError> {
        if !self.may_put_back(what) {
            return Ok(());
        }
        routing::install(&self.netlink.handle, &self.config, self.sources).await
    }

    /// Says that something is missing, and whether it is to come back.
    fn may_put_back(&self, what: &'static str) -> bool {
        if !self.pins.folder().exists() {
            tracing::warn!(what, "gone together with our pins: somebody cleaned up, so it is not put back");
            return false;
        }
        metrics::counter!(names::RESTORED, "what" => what).increment(1);
        tracing::warn!(what, "somebody took away what the redirect needs; putting it back");
        true
    }

    async fn start_over(&mut self) -> Result<(), DatapathError> {
        self.list().await?;
        self.apply_ipvs().await?;
        self.attach_all()?;
        self.near.prune()?;
        self.bridges.prune()
    }

    async fn routes_changed(&mut self) -> Result<(), DatapathError> {
        let before = std::mem::take(&mut self.devices.lock().default_routes);
        self.list_routes().await?;
        let changed: Vec<u32> = before.symmetric_difference(&self.devices.lock().default_routes).copied().collect();
        for index in changed {
            self.apply_device(index)?;
        }
        self.apply_addresses(false).await
    }

    async fn list(&mut self) -> Result<(), DatapathError> {
        let handle = &self.netlink.handle;
        let links: Vec<_> = handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| DatapathError::netlink("list the devices", error))?;
        for link in &links {
            if let Some((index, device)) = messages::device(link) {
                self.bridges.set(index, messages::link_address(link), device.master)?;
            }
        }
        self.devices.lock().replace(links.iter().filter_map(messages::device));
        let addresses: Vec<_> = handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| DatapathError::netlink("list the addresses", error))?;
        self.devices.lock().addresses = addresses.iter().filter_map(messages::address).collect();
        self.near.forget_routes();
        self.list_routes().await
    }

    async fn list_routes(&mut self) -> Result<(), DatapathError> {
        let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::new().build();
        for family in [v4, v6] {
            let mut routes = self.netlink.handle.route().get(family).execute();
            while let Some(route) =
                routes.try_next().await.map_err(|error| DatapathError::netlink("list the routes", error))?
            {
                if messages::is_default(&route) {
                    self.devices.lock().default_routes.extend(messages::outputs(&route));
                }
                if let Some((range, device)) = messages::subnet(&route) {
                    self.near.add_route(range, device)?;
                }
            }
        }
        Ok(())
    }

    /// Attaches wherever a program belongs, exchanging what an earlier process left, and takes away the pins of devices that
    /// went while nobody watched.
    fn attach_all(&mut self) -> Result<(), DatapathError> {
        self.forget_what_may_be_gone()?;
        let known: Vec<u32> = self.devices.lock().devices.keys().copied().collect();
        for index in known {
            self.apply_device(index)?;
        }
        let pinned = self
            .pins
            .devices()
            .map_err(|error| DatapathError::io(format!("list {}", self.pins.folder().display()), error))?;
        for index in pinned.into_iter().filter(|index| !self.attached.contains_key(index)) {
            tracing::debug!(index, "a link without a device is taken away");
            self.programs.detach(index)?;
        }
        Ok(())
    }

    fn apply_device(&mut self, index: u32) -> Result<(), DatapathError> {
        let (there, wanted) = (self.attached.get(&index).copied(), self.devices.lock().hook(index));
        if self.devices.lock().devices.contains_key(&index) {
            self.near.set_device(index, near(wanted))?;
        }
        if there == wanted {
            return Ok(());
        }
        let device = self.devices.lock().devices.get(&index).map(|device| device.name.clone()).unwrap_or_default();
        match wanted {
            Some(hook) => {
                if self.programs.attach(index, &device, hook)? {
                    self.attached.insert(index, hook);
                    tracing::info!(device, index, program = hook.program(), "attached");
                }
            }
            None => {
                self.attached.remove(&index);
                self.programs.detach(index)?;
                tracing::info!(device, index, "detached");
            }
        }
        metrics::gauge!(names::ATTACHED).set(self.attached.len() as f64);
        Ok(())
    }

    /// Publishes the node's addresses, and lets host processes speak from the right one.
    async fn apply_addresses(&mut self, always: bool) -> Result<(), DatapathError> {
        let addresses = self.devices.lock().node_addresses();
        self.addresses.send_if_modified(|old| {
            let changed = *old != addresses;
            old.clone_from(&addresses);
            changed
        });
        self.near.set_own(addresses.into_iter())?;
        let v6 = if self.config.ipv6 { self.devices.lock().source(IpAddr::is_ipv6) } else { None };
        let sources = Sources { v4: self.devices.lock().source(IpAddr::is_ipv4), v6 };
        if !always && sources == self.sources {
            return Ok(());
        }
        self.sources = sources;
        routing::install(&self.netlink.handle, &self.config, sources).await?;
        let host_families = sources.v4.map_or(0, |_| bpf::HOST_V4) | sources.v6.map_or(0, |_| bpf::HOST_V6);
        let (netns_cookie, marks) = (self.netns_cookie, self.config.marks.into());
        let (v4_source, v6_source) =
            if self.devices.lock().ipvs.is_some() { sources.words() } else { Default::default() };
        self.settings.write(bpf::Settings { netns_cookie, marks, host_families, v4_source, v6_source, zero: 0 })
    }
}

/// What is behind a device with this program.
fn near(hook: Option<Hook>) -> Option<bpf::Near> {
    match hook {
        None => Some(bpf::Near::Unseen),
        Some(Hook::Container) => Some(bpf::Near::Pod),
        Some(Hook::Netdev | Hook::Host) => None,
    }
}
