"""The official Python client against a cluster: what a notebook, a pipeline or a small tool does with it."""

import json
import logging
import threading

from cluster import GROUP, HERE, PLURAL, VERSION, apps, core, custom, deployment, eventually, model, namespace, say, serve_models
from kubernetes import client, dynamic, informer, stream, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

SPACE = namespace("client")


def refused(code, reason, call, *words, **more):
    """The call is refused with this code and reason; returns the Status."""
    try:
        call(*words, **more)
    except ApiException as error:
        status = json.loads(error.body)
        assert (error.status, status["reason"]) == (code, reason), error
        return status
    raise AssertionError(f"{call.__name__} was not refused")


def typed_objects():
    made = apps.create_namespaced_deployment(SPACE, deployment("web", 2))
    assert made.metadata.generation == 1 and made.spec.strategy.rolling_update.max_surge == "25%", made

    def ready():
        found = apps.read_namespaced_deployment_status("web", SPACE)
        return found if found.status.ready_replicas == 2 else None

    def three(found):
        found.spec.replicas = 3
        try:
            return apps.replace_namespaced_deployment("web", SPACE, found)
        except ApiException as error:
            if error.status == 409:  # its controller has written meanwhile
                return None
            raise

    eventually("three replicas are wished for", lambda: (found := ready()) and three(found))
    stale = deployment("web", 4)
    stale.metadata.resource_version = made.metadata.resource_version
    refused(409, "Conflict", apps.replace_namespaced_deployment, "web", SPACE, stale)
    apps.patch_namespaced_deployment_scale("web", SPACE, {"spec": {"replicas": 1}})
    assert apps.read_namespaced_deployment_scale("web", SPACE).spec.replicas == 1
    refused(409, "AlreadyExists", apps.create_namespaced_deployment, SPACE, deployment("web"))
    status = refused(422, "Invalid", apps.create_namespaced_deployment, SPACE, deployment("Not A Name"))
    assert status["details"]["causes"][0]["field"] == "metadata.name", status
    refused(404, "NotFound", apps.read_namespaced_deployment, "nobody", SPACE)
    dry = apps.create_namespaced_deployment(SPACE, deployment("dry"), dry_run="All")
    assert dry.metadata.uid
    refused(404, "NotFound", apps.read_namespaced_deployment, "dry", SPACE)
    say("typed objects are made, read, replaced, scaled and refused as they should be")


def patches():
    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "patched"}, "data": {"a": "1", "b": "2"}})
    core.patch_namespaced_config_map("patched", SPACE, {"data": {"b": None, "c": "3"}})
    core.patch_namespaced_config_map("patched", SPACE, [{"op": "add", "path": "/data/d", "value": "4"}])
    found = core.read_namespaced_config_map("patched", SPACE)
    assert found.data == {"a": "1", "c": "3", "d": "4"}, found.data
    two = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "tutor/web:1"}]}}}}
    merged = apps.patch_namespaced_deployment("web", SPACE, two)
    names = [container.name for container in merged.spec.template.spec.containers]
    assert sorted(names) == ["side", "web"], "a strategic merge keeps the list's other entries"
    say("strategic, merge and JSON patches do what each of them says")


def from_yaml():
    text = HERE / "app.yaml"
    made = utils.create_from_yaml(client.ApiClient(), str(text), namespace=SPACE)
    kinds = [item.kind for document in made for item in document]
    assert kinds == ["ConfigMap", "Service", "Deployment", "Role", "CronJob"], kinds
    try:
        utils.create_from_yaml(client.ApiClient(), str(text), namespace=SPACE)
        raise AssertionError("the same file was created twice")
    except utils.FailToCreateError as error:
        assert len(error.api_exceptions) == 5 and all(e.status == 409 for e in error.api_exceptions), error
    say("a file of many documents is created, once")


def watches():
    start = core.list_namespaced_config_map(SPACE).metadata.resource_version
    for n in range(3):
        core.create_namespaced_config_map(SPACE, {"metadata": {"name": f"seen-{n}", "labels": {"seen": "yes"}}})
    core.patch_namespaced_config_map("seen-1", SPACE, {"data": {"x": "y"}})
    core.delete_namespaced_config_map("seen-0", SPACE)
    seen = []
    stream = watch.Watch()
    for event in stream.stream(core.list_namespaced_config_map, SPACE, resource_version=start, label_selector="seen=yes"):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 5:
            stream.stop()
    expected = [("ADDED", f"seen-{n}") for n in range(3)] + [("MODIFIED", "seen-1"), ("DELETED", "seen-0")]
    assert seen == expected, seen
    ended = watch.Watch().stream(core.list_namespaced_config_map, SPACE, resource_version=start, timeout_seconds=5)
    assert len(list(ended)) >= 5, "a watch with a timeout ends by itself"
    say("a watch shows what happened since a list, and ends when it is told to")


def watch_after_gone():
    """A watch from before the kind's history begins is told 410 and is begun anew."""
    before = core.list_namespace().metadata.resource_version
    serve_models()
    custom.create_namespaced_custom_object(GROUP, VERSION, SPACE, PLURAL, model("first", layers=1))
    args = (GROUP, VERSION, SPACE, PLURAL)
    limited = watch.Watch().stream(custom.list_namespaced_custom_object, *args, resource_version=before, timeout_seconds=60)
    try:
        list(limited)
        raise AssertionError("a watch from too long ago was served")
    except ApiException as error:
        assert error.status == 410 and "too old resource version" in error.reason, error
    fresh = custom.list_namespaced_custom_object(*args)["metadata"]["resourceVersion"]
    custom.patch_namespaced_custom_object(GROUP, VERSION, SPACE, PLURAL, "first", {"spec": {"layers": 2}})
    stream = watch.Watch()
    for event in stream.stream(custom.list_namespaced_custom_object, *args, resource_version=fresh):
        assert (event["type"], event["object"]["spec"]["layers"]) == ("MODIFIED", 2), event
        stream.stop()
    say("a watch from too long ago is told 410, and goes on from a new list")


def informs():
    """The client's own informer follows a kind."""
    seen = threading.Event()
    own = informer.SharedInformer(list_func=core.list_namespaced_secret, namespace=SPACE)
    own.add_event_handler(informer.ADDED, lambda secret: secret.metadata.name == "late" and seen.set())
    own.start()
    core.create_namespaced_secret(SPACE, {"metadata": {"name": "late"}, "stringData": {"a": "b"}})
    assert seen.wait(120), "the informer never told of the new Secret"
    eventually("the cache holds the Secret", lambda: own.cache.get_by_key(f"{SPACE}/late"))
    core.delete_namespaced_secret("late", SPACE)
    eventually("the cache lost the Secret", lambda: own.cache.get_by_key(f"{SPACE}/late") is None)
    logging.getLogger("kubernetes.informer").setLevel(logging.CRITICAL)  # it complains of the end of its own stream
    own.stop()
    say("an informer's cache follows")


def dynamically():
    """The dynamic client: kinds found by discovery, server-side apply, watch."""
    found = dynamic.DynamicClient(client.ApiClient())
    models = found.resources.get(api_version=f"{GROUP}/{VERSION}", kind="Model")
    made = models.create(body=model("dynamic", layers=3), namespace=SPACE)
    models.server_side_apply(
        body=model("dynamic", layers=4), name="dynamic", namespace=SPACE, field_manager="python", force_conflicts=True
    )
    now = models.get(name="dynamic", namespace=SPACE)
    assert now.spec.layers == 4 and any(entry.manager == "python" for entry in now.metadata.managedFields), now
    models.status.patch(
        body={"status": {"phase": "Trained"}}, name="dynamic", namespace=SPACE, content_type="application/merge-patch+json"
    )
    watched = models.watch(namespace=SPACE, resource_version=made.metadata.resourceVersion, timeout=10)
    events = [event["type"] for event in watched]
    assert events == ["MODIFIED", "MODIFIED"], events
    models.delete(name="dynamic", namespace=SPACE)
    services = found.resources.get(api_version="v1", kind="Service")
    assert services.namespaced and "proxy" in services.subresources, services
    versions = {group.name for group in client.ApisApi().get_api_versions().groups}
    assert {"apps", "batch", GROUP} <= versions, versions
    assert client.VersionApi().get_code().minor == "37"
    say("the dynamic client finds kinds and works with them")


def pages_and_selectors():
    for n in range(7):
        core.create_namespaced_config_map(SPACE, {"metadata": {"name": f"page-{n}", "labels": {"page": str(n % 2)}}})
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(SPACE, limit=2, _continue=token, label_selector="page")
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"page-{n}" for n in range(7)], names
    odd = core.list_namespaced_config_map(SPACE, label_selector="page in (1)", field_selector="metadata.name!=page-1")
    assert [item.metadata.name for item in odd.items] == ["page-3", "page-5"], odd.items
    core.delete_collection_namespaced_config_map(SPACE, label_selector="page")
    eventually("the collection is gone", lambda: not core.list_namespaced_config_map(SPACE, label_selector="page").items)
    say("lists come in pages and by selectors, and collections are deleted")


def pods_and_logs():
    core.create_namespaced_pod(
        SPACE,
        {
            "metadata": {"name": "talker"},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", "echo one; echo two"]}],
            },
        },
    )
    eventually("the Pod ends", lambda: core.read_namespaced_pod_status("talker", SPACE).status.phase == "Succeeded")
    assert core.read_namespaced_pod_log("talker", SPACE) == "one\ntwo\n"
    assert core.read_namespaced_pod_log("talker", SPACE, tail_lines=1) == "two\n"
    assert list(watch.Watch().stream(core.read_namespaced_pod_log, "talker", SPACE)) == ["one", "two"]
    core.delete_namespaced_pod("talker", SPACE, grace_period_seconds=0)
    server = {"metadata": {"name": "server"}, "spec": {"containers": [{"name": "main", "image": "tutor/web:1"}]}}
    core.create_namespaced_pod(SPACE, server)
    eventually("the Pod runs", lambda: core.read_namespaced_pod_status("server", SPACE).status.phase == "Running")
    command = ["sh", "-c", "echo out; exit 3"]
    run = stream.stream(core.connect_get_namespaced_pod_exec, "server", SPACE, command=command, stdout=True, stderr=True, _preload_content=False)
    run.run_forever(timeout=120)
    assert (run.read_stdout(), run.returncode) == ("out\n", 3), (run.read_all(), run.returncode)
    say("a Pod runs and its log is read and followed; a command runs in it")


def who_may():
    eventually(
        "the namespace has its service account",
        lambda: any(item.metadata.name == "default" for item in core.list_namespaced_service_account(SPACE).items),
    )
    token = core.create_namespaced_service_account_token("default", SPACE, {"spec": {"expirationSeconds": 600}})
    limited = client.Configuration.get_default_copy()
    limited.cert_file = limited.key_file = None
    limited.api_key, limited.api_key_prefix = {"authorization": "Bearer " + token.status.token}, {}
    own = client.ApiClient(limited)
    review = client.AuthenticationV1Api(own).create_self_subject_review({})
    assert review.status.user_info.username == f"system:serviceaccount:{SPACE}:default", review
    status = refused(403, "Forbidden", client.CoreV1Api(own).list_namespaced_secret, SPACE)
    assert f'cannot list resource "secrets" in API group "" in the namespace "{SPACE}"' in status["message"], status
    rbac = client.RbacAuthorizationV1Api()
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    rbac.create_namespaced_role(SPACE, {"metadata": {"name": "reader"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": SPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    rbac.create_namespaced_role_binding(SPACE, {"metadata": {"name": "reader"}, "subjects": [subject], "roleRef": role})
    client.CoreV1Api(own).list_namespaced_secret(SPACE)
    say("a service account's token may do what its role says, and no more")


def leads():
    """Two candidates lead one after the other."""
    order = []

    class Enough(Exception):
        pass

    def candidate(name):
        def lead():
            order.append(name)
            raise Enough

        lock = LeaseLock("leader", SPACE, name)
        leaderelection.LeaderElection(
            electionconfig.Config(
                lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=lead, onstopped_leading=lambda: None
            )
        ).run()

    both = [threading.Thread(target=candidate, args=(name,), daemon=True) for name in ("one", "two")]
    for each in both:
        each.start()
    for each in both:
        each.join(120)
    assert sorted(order) == ["one", "two"], order
    say("two candidates lead one after the other")


for part in (
    typed_objects,
    patches,
    from_yaml,
    watches,
    watch_after_gone,
    informs,
    dynamically,
    pages_and_selectors,
    pods_and_logs,
    who_may,
    leads,
):
    part()
core.delete_namespace(SPACE)
eventually("the namespace goes with all that is in it", lambda: SPACE not in {n.metadata.name for n in core.list_namespace().items})
say("the namespace goes with all that is in it")
