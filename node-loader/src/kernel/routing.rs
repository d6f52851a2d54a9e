//! Rules and routes that bring marked packets to the local stack.
//!
//! ```text
//! ip rule  add pref 8  iif lo fwmark 0x200/0xf00 lookup main
//! ip rule  add pref 9  fwmark 0x200/0xf00 lookup 2004
//! ip rule  add pref 10 fwmark 0x600/0xf00 lookup 2005
//! ip route add local default dev lo table 2004
//! ip route add local default dev lo src NODE_IP table 2005
//! ```
//!
//! and the same with `ip -6`.

use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::{
    Error, Handle, IpVersion, RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        route::{RouteAttribute, RouteHeader, RouteMessage, RouteScope, RouteType},
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};

use super::config::Config;
use crate::datapath::DatapathError;

/// Number of the loopback device, the same in every network namespace.
const LOOPBACK: u32 = 1;

/// The addresses that host processes speak from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sources {
    pub(crate) v4: Option<IpAddr>,
    pub(crate) v6: Option<IpAddr>,
}

impl Sources {
    /// In network byte order, word by word; 0 where there is none.
    pub(crate) fn words(self) -> (u32, [u32; 4]) {
        let v4 = if let Some(IpAddr::V4(v4)) = self.v4 { u32::from_ne_bytes(v4.octets()) } else { 0 };
        let mut v6 = [0; 4];
        if let Some(IpAddr::V6(address)) = self.v6 {
            for (word, bytes) in v6.iter_mut().zip(address.octets().as_chunks().0) {
                *word = u32::from_ne_bytes(*bytes);
            }
        }
        (v4, v6)
    }
}

/// Puts in place what is not there. A family without a source gets no route for host processes.
pub(crate) async fn install(handle: &Handle, config: &Config, sources: Sources) -> Result<(), DatapathError> {
    for (family, source) in families(config, sources) {
        for rule in rules(config, family) {
            let mut request = handle.rule().add();
            *request.message_mut() = rule.clone();
            settle(request.execute().await, libc::EEXIST, || format!("add the rule {rule:?}"))?;
        }
        for route in routes(config, family, source) {
            let request = handle.route().add(route.clone()).replace();
            settle(request.execute().await, libc::EEXIST, || format!("add the route {route:?}"))?;
        }
    }
    Ok(())
}

/// Takes away the rules, and then our routes. What is not there is no error, and what others put into the tables stays.
pub(crate) async fn remove(handle: &Handle, config: &Config) -> Result<(), DatapathError> {
    let tables = [config.routing.taken_table, config.routing.host_table];
    let is_ours = |route: &RouteMessage| tables.contains(&table(route)) && leads_everything_here(route);
    for (family, version) in [(AddressFamily::Inet, IpVersion::V4), (AddressFamily::Inet6, IpVersion::V6)] {
        for rule in rules(config, family) {
            let request = handle.rule().del(rule.clone()).execute().await;
            settle(request, libc::ENOENT, || format!("delete the rule {rule:?}"))?;
        }
        let mut all = RouteMessage::default();
        all.header.address_family = version_family(&version);
        let routes: Vec<RouteMessage> = handle
            .route()
            .get(all)
            .execute()
            .try_filter(|route| std::future::ready(is_ours(route)))
            .try_collect()
            .await
            .map_err(|error| DatapathError::netlink("list the routes", error))?;
        for route in routes {
            let request = handle.route().del(route.clone()).execute().await;
            settle(request, libc::ESRCH, || format!("delete the route {route:?}"))?;
        }
    }
    Ok(())
}

/// The table that a route is in.
pub(crate) fn table(route: &RouteMessage) -> u32 {
    let attribute = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    attribute.unwrap_or_else(|| u32::from(route.header.table))
}

/// Whether a route is as [`routes`] makes them, with whatever source.
fn leads_everything_here(route: &RouteMessage) -> bool {
    let by_loopback = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Oif(LOOPBACK));
    let RouteHeader { kind, destination_prefix_length, .. } = route.header;
    kind == RouteType::Local && destination_prefix_length == 0 && route.attributes.iter().any(by_loopback)
}

/// Whether a rule is one of ours.
pub(crate) fn is_ours(rule: &RuleMessage, config: &Config) -> bool {
    let routing = config.routing;
    let ours = [routing.stray_rule, routing.taken_rule, routing.host_rule];
    rule.attributes.iter().any(|attribute| matches!(attribute, RuleAttribute::Priority(at) if ours.contains(at)))
}

fn version_family(version: &IpVersion) -> AddressFamily {
    match version {
        IpVersion::V4 => AddressFamily::Inet,
        IpVersion::V6 => AddressFamily::Inet6,
    }
}

fn families(config: &Config, sources: Sources) -> Vec<(AddressFamily, Option<IpAddr>)> {
    let v6 = config.ipv6.then_some((AddressFamily::Inet6, sources.v6));
    std::iter::once((AddressFamily::Inet, sources.v4)).chain(v6).collect()
}

fn rules(config: &Config, family: AddressFamily) -> [RuleMessage; 3] {
    let (routing, marks) = (config.routing, config.marks);
    let rule = |preference: u32, mark: u32, table: u32| {
        let mut rule = RuleMessage::default();
        rule.header.family = family;
        rule.header.action = RuleAction::ToTable;
        rule.attributes = vec![
            RuleAttribute::Priority(preference),
            RuleAttribute::FwMark(mark),
            RuleAttribute::FwMask(marks.mask),
            RuleAttribute::Table(table),
        ];
        rule
    };
    let mut stray = rule(routing.stray_rule, marks.taken, u32::from(RouteHeader::RT_TABLE_MAIN));
    stray.attributes.push(RuleAttribute::Iifname("lo".to_owned()));
    [
        stray,
        rule(routing.taken_rule, marks.taken, routing.taken_table),
        rule(routing.host_rule, marks.host, routing.host_table),
    ]
}

fn routes(config: &Config, family: AddressFamily, source: Option<IpAddr>) -> Vec<RouteMessage> {
    let local = |table: u32| {
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .output_interface(LOOPBACK)
            .table_id(table)
            .kind(RouteType::Local)
            .scope(RouteScope::Host)
            .build();
        route.header.address_family = family;
        route
    };
    let mut routes = vec![local(config.routing.taken_table)];
    if let Some(source) = source {
        let mut route = local(config.routing.host_table);
        route.attributes.push(RouteAttribute::PrefSource(source.into()));
        routes.push(route);
    }
    routes
}

/// Success, or the one error that means that there was nothing to do.
fn settle(result: Result<(), Error>, fine: i32, what: impl Fn() -> String) -> Result<(), DatapathError> {
    match result {
        Ok(()) => Ok(()),
        Err(Error::NetlinkError(error)) if error.raw_code() == -fine => Ok(()),
        Err(error) => Err(DatapathError::netlink(what(), error)),
    }
}
