"""A kopf operator: each Model gets a ConfigMap, a status, a beat of its own and a clean end."""

import kopf
from cluster import GROUP, PLURAL, VERSION, core
from kubernetes.client.rest import ApiException

WHAT = (GROUP, VERSION, PLURAL)


@kopf.on.startup()
def configure(settings, **_):
    settings.peering.standalone = True
    settings.posting.loggers = True
    settings.persistence.finalizer = f"{GROUP}/operator"


@kopf.on.create(*WHAT)
def made(spec, name, namespace, patch, **_):
    if spec.get("layers", 0) < 1:
        raise kopf.PermanentError("a model has at least one layer")
    body = {"metadata": {"name": name}, "data": {"layers": str(spec["layers"])}}
    kopf.adopt(body)
    core.create_namespaced_config_map(namespace, body)
    patch.status["phase"] = "Made"
    return {"layers": spec["layers"]}


@kopf.on.update(*WHAT, field="spec.layers")
def changed(old, new, name, namespace, retry, patch, **_):
    if retry == 0:
        raise kopf.TemporaryError("once more, please", delay=0.1)
    core.patch_namespaced_config_map(name, namespace, {"data": {"layers": str(new), "before": str(old)}})
    patch.status["phase"] = "Changed"


@kopf.on.delete(*WHAT)
def gone(name, namespace, **_):
    try:
        core.create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-farewell"}})
    except ApiException as error:
        if error.status != 409:
            raise


@kopf.timer(*WHAT, interval=0.2, initial_delay=0.1)
def beat(status, patch, **_):
    patch.status["beats"] = status.get("beats", 0) + 1


@kopf.on.event("", "v1", "configmaps", labels={"followed": "yes"})
def followed(event, name, namespace, **_):
    if event["type"] == "MODIFIED":
        core.patch_namespaced_secret("witness", namespace, {"stringData": {name: "modified"}})
