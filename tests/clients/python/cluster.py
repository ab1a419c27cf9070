"""What the scripts share: the clients, a namespace of one's own, waiting for what comes to hold."""

import os
import pathlib
import sys
import time

import yaml
from kubernetes import client, config, utils

HERE = pathlib.Path(__file__).parent
GROUP, VERSION, PLURAL = "python.tutor.dev", "v1", "models"

config.load_kube_config(os.environ["KUBECONFIG"])
core = client.CoreV1Api()
apps = client.AppsV1Api()
custom = client.CustomObjectsApi()


def say(fact):
    """Tells one fact that was found to hold."""
    print("ok:", fact, file=sys.__stdout__, flush=True)  # kopf's runner keeps sys.stdout for itself


def namespace(prefix):
    """Makes a namespace and returns its name."""
    return core.create_namespace({"metadata": {"generateName": prefix + "-"}}).metadata.name


def eventually(what, holds, seconds=120):
    """Asks again until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := holds():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"never came to hold: {what}")


def serve_models():
    """Makes the custom resource `models` and waits until it is served."""
    utils.create_from_dict(client.ApiClient(), yaml.safe_load((HERE / "models.yaml").read_text()))
    definitions = client.ApiextensionsV1Api()

    def established():
        status = definitions.read_custom_resource_definition(f"{PLURAL}.{GROUP}").status
        return any(c.type == "Established" and c.status == "True" for c in status.conditions or [])

    eventually("the custom resource is served", established)


def model(name, **spec):
    """A custom resource."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Model", "metadata": {"name": name}, "spec": spec}


def deployment(name, replicas=1):
    """A Deployment of the course's web server."""
    labels = {"app": name}
    container = client.V1Container(
        name="web", image="tutor/web:1", ports=[client.V1ContainerPort(container_port=80, name="http")]
    )
    return client.V1Deployment(
        metadata=client.V1ObjectMeta(name=name, labels=labels),
        spec=client.V1DeploymentSpec(
            replicas=replicas,
            selector=client.V1LabelSelector(match_labels=labels),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
            ),
        ),
    )
