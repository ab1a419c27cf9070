"""Runs the kopf operator beside the cluster, and looks at what the cluster shows of it."""

from cluster import GROUP, HERE, PLURAL, VERSION, core, custom, eventually, model, namespace, say, serve_models
from kopf.testing import KopfRunner
from kubernetes import client
from kubernetes.client.rest import ApiException

serve_models()
SPACE = namespace("operated")
WHERE = (GROUP, VERSION, SPACE, PLURAL)


def read(name):
    try:
        return custom.get_namespaced_custom_object(*WHERE, name)
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def kept(name):
    return {item.metadata.name: item for item in core.list_namespaced_config_map(SPACE).items}.get(name)


def status(name):
    return (read(name) or {}).get("status", {})


# A Model that is there before its operator is.
custom.create_namespaced_custom_object(*WHERE, model("early", layers=1))
core.create_namespaced_secret(SPACE, {"metadata": {"name": "witness"}})

with KopfRunner(["run", "--standalone", "--namespace", SPACE, str(HERE / "models_operator.py")], timeout=240) as runner:
    eventually("the early Model is taken in", lambda: status("early").get("phase") == "Made" and kept("early"))
    say("what was there before the operator is taken in")

    custom.create_namespaced_custom_object(*WHERE, model("late", layers=2))
    late = eventually("the Model gets its status", lambda: status("late").get("made") == {"layers": 2} and read("late"))
    assert late["metadata"]["finalizers"] == [f"{GROUP}/operator"], late["metadata"]
    owner = kept("late").metadata.owner_references[0]
    assert (owner.kind, owner.uid, owner.controller) == ("Model", late["metadata"]["uid"], True), owner
    say("a new Model gets a finalizer, a status and an owned ConfigMap")

    eventually("the timer beats", lambda: status("late").get("beats", 0) >= 3)
    say("a timer writes the status again and again")

    custom.patch_namespaced_custom_object(*WHERE, "late", {"spec": {"layers": 5, "note": "deeper"}})
    eventually("the change is followed", lambda: (now := kept("late")) and now.data == {"layers": "5", "before": "2"})
    eventually("the change is told", lambda: status("late").get("phase") == "Changed")
    say("a change is handled, after a handler that failed once")

    custom.create_namespaced_custom_object(*WHERE, model("broken", layers=0))
    events = client.CoreV1Api().list_namespaced_event

    def complained():
        found = events(SPACE, field_selector="involvedObject.name=broken").items
        return any("a model has at least one layer" in event.message for event in found)

    eventually("the failure is told as an event", complained)
    say("a handler that fails for good is told as an event")

    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "followed", "labels": {"followed": "yes"}}})
    core.patch_namespaced_config_map("followed", SPACE, {"data": {"a": "b"}})
    eventually("the event handler wrote", lambda: (core.read_namespaced_secret("witness", SPACE).data or {}).get("followed"))
    say("events of a built-in kind are handled")

    custom.delete_namespaced_custom_object(*WHERE, "late")
    eventually("the Model is gone", lambda: read("late") is None)
    assert kept("late-farewell"), "the delete handler ran before the Model went"
    eventually("what it owned is collected", lambda: kept("late") is None)
    say("a deletion waits for its handler, and what was owned is collected")

assert runner.exit_code == 0 and runner.exception is None, (runner.exit_code, runner.exception, runner.output)
say("the operator stops when it is told to")
