"""Configurations as dictionaries: what most tests have in common."""


def cluster(broker, **properties):
    """A plaintext cluster; properties with underscores for dots."""
    return {"bootstrap.servers": broker.bootstrap, "broker.address.family": "v4",
            "reconnect.backoff.max.ms": 500,
            **{name.replace("_", "."): value for name, value in properties.items()}}


def pipeline(topics, to="{topic}", create=True, **settings):
    """A pipeline from cluster `src` to cluster `dst`.

    settings: keys of the pipeline with underscores for dashes; `source` and `target` add to its
    `from` and `to`.
    """
    result = {
        "from": {"cluster": "src", "topics": topics if isinstance(topics, list) else [topics],
                 **settings.pop("source", {})},
        "to": {"cluster": "dst", "topic": to, "create-topics": create,
               **settings.pop("target", {})},
        "refresh": "500ms",
    }
    return result | {name.replace("_", "-"): value for name, value in settings.items()}


def configuration(source, target, pipelines, key_domains=(), name="tests", instance="only"):
    """Clusters `src` and `dst`, key domains from keyrings, state beside the configuration.

    source, target: brokers, or dictionaries as they shall stand under clusters.
    instance: static membership, so that a start after kill -9 need not wait until the group takes
    the killed one for dead. None: dynamic, for daemons that share pipelines.
    """
    result = {
        "daemon": {"name": name, "state-directory": "state", "log": {"format": "json"},
                   **({"instance": instance} if instance else {})},
        "clusters": {
            "src": source if isinstance(source, dict) else cluster(source),
            "dst": target if isinstance(target, dict) else cluster(target),
        },
        "pipelines": pipelines,
    }
    if key_domains:
        result["key_domains"] = {ring.domain: ring.options() for ring in key_domains}
    return result
