package main

import (
	"context"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// applies goes through server-side apply with typed configurations: two owners of one Deployment, their
// conflict, what is extracted, what is given up, and the status as a field set of its own.
func applies(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	space, err := namespace(ctx, client, "apply")
	if err != nil {
		return err
	}
	deployments := client.AppsV1().Deployments(space)
	as := func(manager string) metav1.ApplyOptions { return metav1.ApplyOptions{FieldManager: manager} }
	labels := map[string]string{"app": "web"}
	container := coreapply.Container().WithName("web").WithImage("tutor/web:1").
		WithPorts(coreapply.ContainerPort().WithContainerPort(80).WithName("http"))
	web := appsapply.Deployment("web", space).WithLabels(labels).WithSpec(appsapply.DeploymentSpec().
		WithReplicas(2).
		WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).
			WithSpec(coreapply.PodSpec().WithContainers(container))))
	made, err := deployments.Apply(ctx, web, as("author"))
	if err != nil {
		return err
	}
	again, err := deployments.Apply(ctx, web, as("author"))
	if err != nil {
		return err
	}
	if err := unless(again.Generation == made.Generation, "applying the same again moved the generation to %d", again.Generation); err != nil {
		return err
	}
	say("applying the same again changes no spec")

	scaled := appsapply.Deployment("web", space).WithSpec(appsapply.DeploymentSpec().WithReplicas(5))
	_, err = deployments.Apply(ctx, scaled, as("scaler"))
	if !errors.IsConflict(err) {
		return unless(false, "another manager's value met no conflict: %v", err)
	}
	causes := err.(errors.APIStatus).Status().Details.Causes
	if err := unless(len(causes) == 1 && causes[0].Type == metav1.CauseTypeFieldManagerConflict && causes[0].Field == ".spec.replicas",
		"the conflict names %v", causes); err != nil {
		return err
	}
	force := metav1.ApplyOptions{FieldManager: "scaler", Force: true}
	if _, err = deployments.Apply(ctx, scaled, force); err != nil {
		return err
	}
	say("another manager's value is a conflict, and is taken by force")

	now, err := deployments.Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	own, err := appsapply.ExtractDeployment(now, "author")
	if err != nil {
		return err
	}
	if err := unless(own.Spec.Replicas == nil && len(own.Spec.Template.Spec.Containers) == 1, "the author still owns %+v", own.Spec); err != nil {
		return err
	}
	sidecar := coreapply.Container().WithName("sidecar").WithImage("tutor/web:1")
	own.Spec.Template.Spec.Containers[0].Ports = nil
	own.Spec.Template.Spec.WithContainers(sidecar)
	after, err := deployments.Apply(ctx, own, as("author"))
	if err != nil {
		return err
	}
	containers := after.Spec.Template.Spec.Containers
	if err := unless(len(containers) == 2 && len(containers[0].Ports) == 0 && *after.Spec.Replicas == 5,
		"after the extracted configuration: %+v, %d replicas", containers, *after.Spec.Replicas); err != nil {
		return err
	}
	say("what is extracted, changed and applied again adds and removes only what is owned")
	if err := applyStatus(ctx, client, space); err != nil {
		return err
	}
	return applyByTwo(ctx, client, space)
}

// applyStatus owns a condition of a Deployment's status under another manager than the spec.
func applyStatus(ctx context.Context, client kubernetes.Interface, space string) error {
	deployments := client.AppsV1().Deployments(space)
	status := appsapply.Deployment("web", space).WithStatus(appsapply.DeploymentStatus().WithConditions(
		appsapply.DeploymentCondition().WithType("Reviewed").WithStatus("True").WithReason("Tried")))
	after, err := deployments.ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: "reviewer", Force: true})
	if err != nil {
		return err
	}
	for _, entry := range after.ManagedFields {
		if entry.Manager == "reviewer" {
			say("the status is applied under its own subresource")
			return unless(entry.Subresource == "status", "the reviewer's fields are in subresource %q", entry.Subresource)
		}
	}
	return unless(false, "the reviewer owns nothing")
}

// applyByTwo lets two managers add entries to one map, and takes one manager's away.
func applyByTwo(ctx context.Context, client kubernetes.Interface, space string) error {
	maps := client.CoreV1().ConfigMaps(space)
	for manager, key := range map[string]string{"one": "a", "two": "b"} {
		part := coreapply.ConfigMap("shared", space).WithData(map[string]string{key: manager, "both": "same"})
		if _, err := maps.Apply(ctx, part, metav1.ApplyOptions{FieldManager: manager}); err != nil {
			return err
		}
	}
	after, err := maps.Apply(ctx, coreapply.ConfigMap("shared", space), metav1.ApplyOptions{FieldManager: "one"})
	if err != nil {
		return err
	}
	_, kept := after.Data["a"]
	if err := unless(!kept && after.Data["b"] == "two" && after.Data["both"] == "same", "the map holds %v", after.Data); err != nil {
		return err
	}
	say("what one manager gives up goes, what another holds too stays")
	return nil
}
