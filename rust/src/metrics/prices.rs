//! What tokens cost: a dated table that ships with the crate.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::Value as Json;

use crate::chat::Usage;
use crate::config::{ConfigError, PriceConfig, ProviderKind};
use crate::models_table;

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Prompt.
    pub input: f64,
    /// Answer.
    pub output: f64,
    /// Prompt from the cache; as `input` if unknown.
    pub cache_read: f64,
    /// Prompt into the cache; as `input` if unknown.
    pub cache_write: f64,
    above: Option<(u64, [f64; 4])>,
}

impl Price {
    /// The cost of an answer in US dollars. Long prompts may cost more, for all their tokens.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "numbers of tokens are below 2^53")]
    pub fn cost(&self, usage: &Usage) -> f64 {
        let [input, output, read, write] = match self.above {
            Some((limit, prices)) if usage.tokens_in > limit => prices,
            _ => [self.input, self.output, self.cache_read, self.cache_write],
        };
        let special = usage.tokens_cached.saturating_add(usage.cache_written);
        let plain = usage.tokens_in.saturating_sub(special);
        (plain as f64 * input
            + usage.tokens_cached as f64 * read
            + usage.cache_written as f64 * write
            + usage.tokens_out as f64 * output)
            / 1e6
    }
}

impl From<PriceConfig> for Price {
    fn from(given: PriceConfig) -> Self {
        let PriceConfig { input, output, cached } = given;
        Self { input, output, cache_read: cached.unwrap_or(input), cache_write: input, above: None }
    }
}

/// The prices of one runtime: those of the host, of the manifest, and the built-in ones (T-8).
#[derive(Debug, Default)]
pub struct PriceBook {
    host: Mutex<BTreeMap<String, Price>>,
    manifest: BTreeMap<String, Price>,
}

impl PriceBook {
    /// The built-in prices below those of a manifest.
    #[must_use]
    pub fn new(manifest: &BTreeMap<String, PriceConfig>) -> Self {
        let manifest = manifest.iter().map(|(id, price)| (id.clone(), (*price).into())).collect();
        Self { host: Mutex::default(), manifest }
    }

    /// Sets the price of an id, or of all ids with a beginning if the pattern ends in `*`.
    ///
    /// # Errors
    /// [`ConfigError::Price`].
    pub fn set(&self, pattern: &str, price: PriceConfig) -> Result<(), ConfigError> {
        price.check()?;
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        host.insert(pattern.to_owned(), price.into());
        Ok(())
    }

    /// The price of a model id, if it is known.
    #[must_use]
    pub fn price(&self, kind: ProviderKind, id: &str) -> Option<Price> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        given(&host, id).or_else(|| given(&self.manifest, id)).or_else(|| price(kind, id))
    }
}

/// An exact id, the id without its date, or the longest pattern that fits.
fn given(prices: &BTreeMap<String, Price>, id: &str) -> Option<Price> {
    let fits = |pattern: &str| pattern.strip_suffix('*').is_some_and(|start| id.starts_with(start));
    let pattern = || {
        let fitting = prices.iter().filter(|(pattern, _)| fits(pattern));
        fitting.max_by_key(|(pattern, _)| pattern.len()).map(|(_, price)| price)
    };
    prices.get(id).or_else(|| prices.get(undated(id))).or_else(pattern).copied()
}

struct Table {
    date: String,
    prices: HashMap<String, Price>,
}

static LOADED: LazyLock<Table> = LazyLock::new(|| {
    let json = models_table::price_file();
    let date = json.pointer("/_about/extracted").and_then(Json::as_str).unwrap_or("").to_owned();
    let mut prices = HashMap::new();
    for (group, models) in json.as_object().into_iter().flatten() {
        if group.starts_with('_') {
            continue;
        }
        for (id, row) in models.as_object().into_iter().flatten() {
            if let Some(price) = read(row) {
                prices.insert(id.clone(), price);
            }
        }
    }
    Table { date, prices }
});

fn read(row: &Json) -> Option<Price> {
    let number = |row: &Json, key: &str| row.get(key).and_then(Json::as_f64);
    let four = |row: &Json, base: [f64; 2]| {
        let input = number(row, "input").unwrap_or(base[0]);
        let output = number(row, "output").unwrap_or(base[1]);
        let read = number(row, "cache_read").unwrap_or(input);
        [input, output, read, number(row, "cache_write").unwrap_or(input)]
    };
    let base = [number(row, "input")?, number(row, "output")?];
    let [input, output, cache_read, cache_write] = four(row, base);
    let above = row
        .get("above")
        .and_then(|above| Some((above.get("input_tokens")?.as_u64()?, four(above, base))));
    Some(Price { input, output, cache_read, cache_write, above })
}

/// The day on which the table was made.
#[must_use]
pub fn table_date() -> &'static str {
    &LOADED.date
}

/// The price of a model id: exact, else without a trailing date or `-latest`. Ollama is free; an unknown id has no price.
fn price(kind: ProviderKind, id: &str) -> Option<Price> {
    let id = id.strip_prefix("models/").unwrap_or(id);
    let bare = id.rsplit_once('/').map_or(id, |(_, bare)| bare);
    let found = [id, bare, undated(bare)].into_iter().find_map(|id| LOADED.prices.get(id).copied());
    found.or_else(|| (kind == ProviderKind::Ollama).then(Price::default))
}

/// `gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929`, `x-latest` without their ends. Never another prefix: `gpt-4o-x` need not cost what `gpt-4o` does.
fn undated(id: &str) -> &str {
    id.strip_suffix("-latest").unwrap_or_else(|| models_table::undated(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_whole() {
        assert_eq!(table_date(), "2026-11-23");
        assert!(LOADED.prices.len() > 150, "{}", LOADED.prices.len());
    }

    #[test]
    fn ids_are_found_exactly_or_without_their_date() {
        let known = |id: &str| price(ProviderKind::OpenAi, id).map(|p| (p.input, p.output));
        assert_eq!(known("gpt-4o-mini"), Some((0.15, 0.6)));
        assert_eq!(known("gpt-4o-mini-2024-07-18"), Some((0.15, 0.6)));
        assert_eq!(known("claude-haiku-4-5-20251001"), Some((1.0, 5.0)));
        assert_eq!(known("gpt-4o-x"), None);
        assert_eq!(known("some-model"), None);
        assert_eq!(price(ProviderKind::Ollama, "some-model"), Some(Price::default()));
    }

    /// T-8: host, manifest, table, ollama, unknown; in this order.
    #[test]
    fn the_nearest_source_of_a_price_counts() {
        let flat = |input| PriceConfig { input, output: 0.0, cached: None };
        let manifest =
            BTreeMap::from([("gpt-4o".to_owned(), flat(7.0)), ("own-model".to_owned(), flat(8.0))]);
        let book = PriceBook::new(&manifest);
        let input = |kind, id| book.price(kind, id).map(|price| price.input);
        let (openai, ollama) = (ProviderKind::OpenAi, ProviderKind::Ollama);
        assert_eq!(input(openai, "gpt-4o"), Some(7.0), "the manifest wins over the table");
        assert_eq!(input(openai, "gpt-4o-2024-08-06"), Some(7.0), "also without a date");
        assert_eq!(input(openai, "gpt-4o-mini"), Some(0.15));
        assert_eq!(input(ollama, "own-model"), Some(8.0));
        assert_eq!(input(ollama, "llama3.1"), Some(0.0));
        assert_eq!(input(openai, "other"), None);
        book.set("gpt-4o*", flat(1.0)).unwrap();
        book.set("*", flat(2.0)).unwrap();
        book.set("gpt-4o-mini", flat(3.0)).unwrap();
        assert_eq!(input(openai, "gpt-4o"), Some(1.0), "the host wins over the manifest");
        assert_eq!(input(openai, "gpt-4o-mini"), Some(3.0), "an exact id wins over a pattern");
        assert_eq!(input(openai, "other"), Some(2.0));
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            let error = book.set("x", flat(bad)).unwrap_err();
            assert_eq!(error, ConfigError::Price { name: "input" });
        }
    }

    /// T-7: cached tokens are part of the prompt and have a price of their own, else that of the prompt.
    #[test]
    fn a_given_price_covers_cached_tokens() {
        let usage = Usage { tokens_in: 10, tokens_out: 1, tokens_cached: 4, ..Usage::default() };
        let cost =
            |cached| Price::from(PriceConfig { input: 2e6, output: 1e6, cached }).cost(&usage);
        assert_eq!(cost(None), 21.0);
        assert_eq!(cost(Some(1e6)), 17.0);
    }

    #[test]
    fn long_prompts_cost_more() {
        let price = price(ProviderKind::Google, "gemini-2.5-pro").unwrap();
        let cost = |tokens_in| price.cost(&Usage { tokens_in, ..Usage::default() });
        assert!(cost(200_001) > cost(200_000) * 1.5);
    }
}
