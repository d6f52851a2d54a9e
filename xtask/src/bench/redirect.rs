//! What the redirect costs: a request, a new connection, many at a time; by it and by its rivals, to the same Envoy.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    crowd, edits,
    load::{self, Load},
    programs::{Counting, FLOOR, Ran},
    report::{self, Cost, Crowd, Program, Series},
    scene::{DIALLED, OURS, PLAIN, SIDECARS, Scene},
};

/// Connections at a time.
const CROWDS: [usize; 3] = [1, 16, 512];
/// Rounds of each crowd, after one that does not count.
const ROUNDS: usize = 5;
/// The programs that see a client pod's packets.
const PROGRAM: &str = "from_container";

/// Measures everything and prints it.
pub(super) fn run(scene: &Scene, load: Load, rounds: usize, edits: usize) -> Result<()> {
    let ways = scene.ways();
    let addresses: Vec<_> = ways.iter().map(|way| way.address).collect();
    let tracked = ways.iter().map(|way| tracked(scene, load, way.address)).collect::<Result<Vec<_>>>()?;
    let mut series: Vec<_> = ways.iter().zip(tracked).map(|(way, tracked)| Series::new(way.name, tracked)).collect();
    for round in 0..=rounds {
        let samples = scene.client.enter(|| load.run(&addresses))??;
        // The first round warms caches, connection pools and the branch predictor.
        if round > 0 {
            series.iter_mut().zip(samples).for_each(|(series, sample)| series.add(sample));
        }
    }
    report::print_ways(&series);
    handshakes(scene, rounds)?;
    report::print_crowds(&crowds(scene, load.requests)?);
    report::print_programs(&programs(scene, load)?);
    let memory = scene.memory()?;
    let idle = scene.idle(Duration::from_secs(5))?;
    report::print_edits(&edits::time(scene, edits).context("time edits")?);
    report::print_processes(&memory, &idle);
    Ok(())
}

/// Entries of connection tracking that new connections of one way make on the node. Envoy's own to the backend are there already.
fn tracked(scene: &Scene, load: Load, to: SocketAddr) -> Result<u64> {
    let fresh = Load { requests: 0, ..load };
    scene.client.enter(|| fresh.run(&[to]))??;
    let before = scene.tracked()?;
    scene.client.enter(|| fresh.run(&[to]))??;
    Ok(scene.tracked()?.saturating_sub(before))
}

/// What the kernel takes for a connection to Envoy's listeners, by every way that leads to one.
fn handshakes(scene: &Scene, rounds: usize) -> Result<()> {
    let ways: Vec<_> = scene.ways().into_iter().filter(|way| ![PLAIN, SIDECARS].contains(&way.name)).collect();
    let addresses: Vec<_> = ways.iter().map(|way| way.address).collect();
    let mut samples = Vec::new();
    for _ in 0..rounds {
        samples.push(scene.without_envoy(|| scene.client.enter(|| load::connect(&addresses))?)?);
        // Until Envoy has accepted all of them, and seen that they are over.
        scene.client.enter(|| Load { requests: 20, connections: 0 }.run(&addresses))??;
    }
    let names: Vec<_> = ways.iter().map(|way| way.name).collect();
    report::print_handshakes(&names, &samples);
    Ok(())
}

/// Each number of connections, by the ways that are compared, in turns.
fn crowds(scene: &Scene, requests: usize) -> Result<Vec<Crowd>> {
    let ways = scene.ways();
    let ways: Vec<_> = ways.iter().filter(|way| [DIALLED, OURS, PLAIN, SIDECARS].contains(&way.name)).collect();
    let mut crowds = Vec::new();
    for connections in CROWDS {
        let requests = (2 * requests).max(4 * connections);
        let mut costs: Vec<_> = ways.iter().map(|way| (way.name, Vec::new())).collect();
        for round in 0..=ROUNDS {
            for (way, (_, costs)) in ways.iter().zip(&mut costs) {
                let before = scene.envoys()?;
                let took = scene.client.enter(|| crowd::ask(way.address, connections, requests))??;
                let cpu = scene.envoys()?.saturating_sub(before);
                if round > 0 {
                    let asked = (requests / connections * connections) as f64;
                    costs.push(Cost { rate: asked / took.as_secs_f64(), cpu: cpu.as_secs_f64() * 1e6 / asked });
                }
            }
        }
        crowds.push(Crowd { connections, ways: costs });
    }
    Ok(crowds)
}

/// What the program costs while connections are open, one that is asked at a time and many, and while they come and go.
fn programs(scene: &Scene, load: Load) -> Result<Vec<Program>> {
    let ours = scene.ways().into_iter().find(|way| way.name == OURS).context("no way of ours")?.address;
    scene.add_floor()?;
    let counting = Counting::start()?;
    let read = || {
        let mut programs = counting.read(&scene.pins())?;
        anyhow::Ok([PROGRAM, FLOOR].map(|name| programs.remove(name).unwrap_or_default()))
    };
    let ran = |work: &(dyn Fn() -> Result<()> + Sync)| -> Result<[Ran; 2]> {
        let before = read()?;
        scene.client.enter(work)??;
        let after = read()?;
        Ok([after[0].since(before[0]), after[1].since(before[1])])
    };
    let (requests, connections) = (5 * load.requests, 5 * load.connections);
    let open = ran(&|| Load { connections: 0, requests }.run(&[ours]).map(drop))?;
    let many = ran(&|| crowd::ask(ours, CROWDS[1], requests).map(drop))?;
    let new = ran(&|| Load { requests: 0, connections }.run(&[ours]).map(drop))?;
    let costs = [
        ("a packet of an open connection", open),
        ("... of one of sixteen at a time", many),
        ("a packet of a new one, SYN to FIN", new),
    ];
    let cost = |(what, [program, floor]): (_, [Ran; 2])| Program { what, mean: program.mean(), floor: floor.mean() };
    Ok(costs.into_iter().map(cost).collect())
}
