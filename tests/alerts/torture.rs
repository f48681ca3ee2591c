//! Seeded: a publisher races with subscribers of all sorts under random small limits, and what
//! each was told is compared with the naive list.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;
use opstead::alerts::{Hub, HubLimits, ReadRequest, SubscribeRequest, Subscription};
use opstead::filter::{Filter, FilterKind};
use opstead_core::Cursor;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::world::{FOR_EVER, World, copy, told};

/// Every filter lets this name pass, and it comes last, so that everybody sees the end.
const END: &str = "end";

const FILTERS: [(FilterKind, &str); 6] = [
    (FilterKind::Glob, "*"),
    (FilterKind::Glob, "{vm.*,end}"),
    (FilterKind::Glob, "{vm.1,image.?,end}"),
    (FilterKind::Regexp, r"(vm|image)\.[0-4]|end"),
    (FilterKind::Regexp, r".*\.7|end"),
    (FilterKind::Glob, "end"),
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Small, medium or large.
    fn size(&mut self) -> usize {
        1 << self.below(18)
    }
}

fn limits(random: &mut Random) -> HubLimits {
    HubLimits {
        tail_bytes: random.size(),
        queue_alerts: 1 + random.below(40) as usize,
        queue_bytes: random.size(),
        replays: 1 + random.below(3) as usize,
        page_bytes: 1 << random.below(14),
        cache_bytes: random.size(),
        ..HubLimits::default()
    }
}

fn block(random: &mut Random) -> Vec<String> {
    let length = if random.below(20) == 0 { 60 } else { 6 };
    let name = |random: &mut Random| match random.below(3) {
        0 => String::new(),
        1 => format!("vm.{}", random.below(10)),
        _ => format!("image.{}", random.below(10)),
    };
    (0..=random.below(length)).map(|_| name(random)).collect()
}

/// How many lives there are in one run.
const LIVES: usize = 18;

/// One subscriber's life: what it was told, and where that begins.
struct Life {
    filter: Filter,
    start: Cursor,
    told: Vec<(Cursor, String)>,
}

impl Life {
    fn is_over(&self) -> bool {
        self.told.last().is_some_and(|(_, name)| name == END)
    }

    fn subscribe(&self, hub: &Arc<Hub>, after: Option<Cursor>) -> Subscription {
        let request = SubscribeRequest {
            filter: self.filter.clone(),
            after,
            log_id: None,
        };
        hub.subscribe(request).unwrap()
    }

    /// Reads, pauses, gives up waiting, leaves and resumes, and checks every bookmark.
    async fn by_subscription(
        mut self,
        hub: Arc<Hub>,
        mut random: Random,
        begun: mpsc::Sender<()>,
    ) -> Self {
        let mut subscription = self.subscribe(&hub, None);
        self.start = subscription.start();
        begun.send(()).unwrap();
        let mut bookmark = self.start;
        while !self.is_over() {
            let batch = match random.below(8) {
                0 => subscription.next_batch().now_or_never(),
                _ => Some(subscription.next_batch().await),
            };
            if let Some(alerts) = batch {
                let alerts = told(&alerts.unwrap());
                assert!(alerts[0].0 > bookmark, "told of what a bookmark had passed");
                self.told.extend(alerts);
            }
            for _ in 0..random.below(30) {
                tokio::task::yield_now().await;
            }
            let place = subscription.place();
            assert!(place >= bookmark, "a bookmark went back");
            bookmark = place;
            if random.below(40) == 0 {
                subscription = self.subscribe(&hub, Some(bookmark));
            }
        }
        self
    }

    /// The same by reading page after page.
    async fn by_reading(
        mut self,
        hub: Arc<Hub>,
        mut random: Random,
        begun: mpsc::Sender<()>,
    ) -> Self {
        begun.send(()).unwrap();
        let mut after = self.start;
        while !self.is_over() {
            let seconds = if random.below(4) == 0 { 0 } else { 300 };
            let request = ReadRequest {
                filter: self.filter.clone(),
                after,
                log_id: None,
                limit: 1 + random.below(30) as usize,
                timeout: Duration::from_secs(seconds),
            };
            let page = hub.read(request).await.unwrap();
            assert!(page.cursor >= after);
            after = page.cursor;
            self.told.extend(told(&page.alerts));
        }
        self
    }
}

/// Publishes all blocks, with pauses so that some catch up, and the end once everybody has begun.
fn publish(
    mut world: World,
    mut random: Random,
    blocks: usize,
    published: &watch::Sender<usize>,
    begun: &mpsc::Receiver<()>,
) -> World {
    for number in 1..=blocks {
        let names = block(&mut random);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let block = world.append(&names);
        world.hub.publish(&copy(&block));
        published.send_replace(number);
        for _ in 0..random.below(10_000) {
            std::hint::spin_loop();
        }
    }
    assert_eq!(begun.iter().take(LIVES).count(), LIVES);
    world.publish(&[END]);
    world
}

async fn run(seed: u64, blocks: usize) {
    let mut random = Random(seed);
    let world = World::new(limits(&mut random));
    let hub = world.hub.clone();
    let (published, mut progress) = watch::channel(0);
    let (begun, all_begun) = mpsc::channel();
    let publisher = {
        let random = Random(random.below(u64::MAX));
        std::thread::spawn(move || publish(world, random, blocks, &published, &all_begun))
    };
    let mut lives = Vec::new();
    for number in 0..LIVES {
        // They begin all along the way.
        let due = number * blocks / LIVES;
        progress
            .wait_for(|published| *published >= due)
            .await
            .unwrap();
        let (kind, pattern) = FILTERS[number % FILTERS.len()];
        let life = Life {
            filter: Filter::parse(kind, pattern).unwrap(),
            start: 0,
            told: Vec::new(),
        };
        let random = Random(random.below(u64::MAX));
        let (hub, begun) = (hub.clone(), begun.clone());
        lives.push(if random.0 % 3 == 2 {
            tokio::spawn(life.by_reading(hub, random, begun))
        } else {
            tokio::spawn(life.by_subscription(hub, random, begun))
        });
    }
    let mut ended = Vec::new();
    for life in lives {
        ended.push(
            life.await
                .unwrap_or_else(|error| panic!("seed {seed}: {error}")),
        );
    }
    let world = publisher.join().unwrap();
    for life in ended {
        let expected = world.expected(&life.filter, life.start);
        let what = life.filter.pattern();
        assert!(
            life.told == expected,
            "seed {seed}: {what} was told otherwise"
        );
    }
    assert_eq!(world.hub.subscriptions(), 0);
}

/// Promises 1, 3, 4 and 8, with everything at once. A failure names the seed, which gives the same
/// blocks, limits and choices again; only the threads' order differs.
#[test]
fn everybody_is_told_exactly_what_the_naive_list_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_time()
        .build()
        .unwrap();
    for seed in 0..16 {
        let over = runtime.block_on(async { timeout(FOR_EVER, run(seed, 300)).await });
        over.unwrap_or_else(|_| panic!("seed {seed}: somebody waits for ever"));
    }
}
