"""Simulated documents, the events in them, and features that watch the events noisily."""

from typing import NamedTuple

import numpy as np

from featrack_utils.corpora.documents import DOMAINS

TOPICS_PER_DOMAIN = 4


class Events(NamedTuple):
    """Firings of latent causes; int64, int64 and float64 [n_events]."""

    row: np.ndarray
    latent: np.ndarray
    size: np.ndarray


class Latents(NamedTuple):
    """Causes that features can watch: their events and, per latent, float64 [n_latents]."""

    events: Events
    density: np.ndarray
    rho: np.ndarray
    family: np.ndarray


class Stream(NamedTuple):
    """Simulated documents: four labels per token, then topic and first token of each."""

    document: np.ndarray
    group: np.ndarray
    domain: np.ndarray
    tokens: np.ndarray
    topic: np.ndarray
    starts: np.ndarray


def draw_events(
    rng: np.random.Generator, topic: np.ndarray, starts: np.ndarray, density: np.ndarray
) -> Events:
    """Firings of every latent: rates differ by topic and, gamma-wise, by document.

    `topic` int [n_documents], `starts` int [n_documents + 1], `density` float [n_latents],
    the share of tokens with an event. Sizes are exponential, their scale log-normal.
    """
    n_documents, n_latents = len(topic), len(density)
    by_topic = rng.gamma(0.7, 1.0, (topic.max() + 1, n_latents)) + 0.05
    rate = by_topic[topic] * rng.gamma(2.0, 0.5, (n_documents, n_latents))
    lengths = np.diff(starts)
    # Normalised so that each latent's expected density on this stream is the one asked for.
    rate *= density / np.average(rate, axis=0, weights=lengths)
    expected = -np.log1p(-np.minimum(rate, 0.8)) * lengths[:, None]
    counts = rng.poisson(expected).ravel()
    cell = np.repeat(np.arange(counts.size), counts)
    document, latent = cell // n_latents, cell % n_latents
    row = starts[document] + (rng.random(cell.size) * lengths[document]).astype(np.int64)
    key = np.sort(row * n_latents + latent)
    key = key[np.diff(key, prepend=-1) > 0]  # one firing at most per token and latent
    row, latent = key // n_latents, key % n_latents
    scale = rng.lognormal(0.0, 0.5, n_latents)
    return Events(row, latent, rng.exponential(1.0, row.size) * scale[latent])


def watch(
    rng: np.random.Generator,
    events: Events,
    group: np.ndarray,
    columns: np.ndarray,
    rho: np.ndarray,
    density: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and activations that noisy watchers of the events report.

    An event is missed with its whole group of documents or on its own (chance of being
    seen √ρ in all) and its size is multiplied by log-normal noise, such that two
    independent watchers of a latent have Pearson r = ρ over all tokens. `columns` int
    [n_latents] is each latent's column, −1 if it has none.
    """
    seen = np.sqrt(rho)
    keep_group = rng.random((group.max() + 1, rho.size)) < np.sqrt(seen)
    kept = columns[events.latent] >= 0
    kept &= keep_group[group[events.row], events.latent]
    kept &= rng.random(events.row.size) < np.sqrt(seen)[events.latent]
    row, latent, size = (field[kept] for field in events)
    # For exponential sizes E[A]²/E[A²] = 1/2, so the mean's part of the variance is half
    # the density; the size noise E[u²] is then what leaves r at ρ.
    half = density / 2
    second_moment = (1 - half) / seen + half * seen
    spread = np.sqrt(np.log(np.maximum(second_moment, 1.0)))[latent]
    noise = np.exp(spread * rng.standard_normal(row.size) - spread**2 / 2)
    return row, columns[latent], size * noise


def draw_stream(
    rng: np.random.Generator, n_documents: int, tokens_per_document: int, group_size: int = 1
) -> Stream:
    """Documents of log-normal lengths, domains in equal numbers, topics within domains.

    `group_size` documents of one domain in a row make a group, which has one topic.
    """
    lengths = rng.lognormal(0.0, 0.4, n_documents)
    lengths = np.maximum(lengths * tokens_per_document / lengths.mean(), 4).astype(np.int64)
    place, domain = np.divmod(np.arange(n_documents), len(DOMAINS))
    group = place // group_size * len(DOMAINS) + domain
    topic = domain * TOPICS_PER_DOMAIN + rng.integers(TOPICS_PER_DOMAIN, size=n_documents)[group]
    document = np.repeat(np.arange(n_documents, dtype=np.int32), lengths)
    tokens = rng.integers(0, 4096, document.size).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    labels = (group[document].astype(np.int32), domain[document].astype(np.int8))
    return Stream(document, *labels, tokens, topic, starts)
