package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const finalizer = "clients.tutor.dev/trained"

// managed runs an operator written with controller-runtime: it leads by a lease, keeps a ConfigMap for
// each Model, writes the Model's status and cleans up behind a finalizer.
func managed(ctx context.Context, config *rest.Config) error {
	log.SetLogger(klog.Background())
	plain, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := serveModels(ctx, config); err != nil {
		return err
	}
	space, err := namespace(ctx, plain, "manager")
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Metrics:        server.Options{BindAddress: "0"},
		Cache:          cache.Options{DefaultNamespaces: map[string]cache.Config{space: {}}},
		LeaderElection: true, LeaderElectionID: "models", LeaderElectionNamespace: space,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	operator := &trainer{Client: manager.GetClient()}
	err = ctrl.NewControllerManagedBy(manager).For(asModel()).Owns(&corev1.ConfigMap{}).Complete(operator)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- manager.Start(running)
		stop()
	}()
	direct, err := client.New(config, client.Options{})
	if err == nil {
		err = operated(running, direct, space)
	}
	stop()
	return first(<-ended, err)
}

// operated does what the operator's users do, and looks that it follows.
func operated(ctx context.Context, direct client.Client, space string) error {
	model := newModel("tiny", 2)
	model.SetNamespace(space)
	if err := direct.Create(ctx, model); err != nil {
		return err
	}
	where := client.ObjectKey{Namespace: space, Name: "tiny"}
	holds := func(layers int64) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			now, kept := asModel(), &corev1.ConfigMap{}
			if err := direct.Get(ctx, where, now); err != nil {
				return false, err
			}
			if err := direct.Get(ctx, where, kept); err != nil {
				return false, client.IgnoreNotFound(err)
			}
			seen, _, _ := unstructured.NestedInt64(now.Object, "status", "layers")
			return seen == layers && kept.Data["layers"] == fmt.Sprint(layers) && metav1.IsControlledBy(kept, now), nil
		}
	}
	if err := eventually(ctx, "a Model gets its ConfigMap and status", holds(2)); err != nil {
		return err
	}
	patch := client.RawPatch(client.Merge.Type(), []byte(`{"spec":{"layers":5}}`))
	if err := direct.Patch(ctx, model, patch); err != nil {
		return err
	}
	if err := eventually(ctx, "a changed Model is followed", holds(5)); err != nil {
		return err
	}
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: "tiny"}}
	if err := direct.Delete(ctx, kept); err != nil {
		return err
	}
	if err := eventually(ctx, "a deleted ConfigMap comes back", holds(5)); err != nil {
		return err
	}
	if err := direct.Delete(ctx, model); err != nil {
		return err
	}
	err := eventually(ctx, "a deleted Model is cleaned up behind its finalizer", func(ctx context.Context) (bool, error) {
		errModel, errKept := direct.Get(ctx, where, asModel()), direct.Get(ctx, where, &corev1.ConfigMap{})
		return errors.IsNotFound(errModel) && errors.IsNotFound(errKept), nil
	})
	if err == nil {
		say("an operator follows its objects: made, changed, healed, cleaned up")
	}
	return err
}

// trainer keeps a ConfigMap and a status for each Model.
type trainer struct{ client.Client }

// Reconcile brings one Model in order.
func (t *trainer) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	model := asModel()
	if err := t.Get(ctx, request.NamespacedName, model); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if model.GetDeletionTimestamp() != nil {
		if controllerutil.RemoveFinalizer(model, finalizer) {
			return ctrl.Result{}, t.Update(ctx, model)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(model, finalizer) {
		if err := t.Update(ctx, model); err != nil {
			return ctrl.Result{}, err
		}
	}
	layers, _, _ := unstructured.NestedInt64(model.Object, "spec", "layers")
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: request.Namespace, Name: request.Name}}
	_, err := controllerutil.CreateOrUpdate(ctx, t.Client, kept, func() error {
		kept.Data = map[string]string{"layers": fmt.Sprint(layers)}
		return controllerutil.SetControllerReference(model, kept, t.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	before := model.DeepCopy()
	model.Object["status"] = map[string]any{"layers": layers, "phase": "Trained"}
	return ctrl.Result{}, t.Status().Patch(ctx, model, client.MergeFrom(before))
}

func asModel() *unstructured.Unstructured {
	model := &unstructured.Unstructured{}
	model.SetGroupVersionKind(models.GroupVersion().WithKind("Model"))
	return model
}
