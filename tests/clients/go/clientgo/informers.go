package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// writers work side by side, each on names that others use too.
	writers = 8
	// rounds of one writer; a round is some writes of several kinds.
	rounds = 250
	// names are few, so that writers meet.
	names = 40
	// burst is more changes of one kind than the server remembers for slow watchers.
	burst = 9000
	// padding makes those changes too large to lie in the buffers on the way.
	padding = 4096
)

// followed is an informer, what its handlers were told, and how to ask the server for the same.
type followed struct {
	what     string
	informer cache.SharedIndexInformer
	list     func(context.Context) (runtime.Object, error)

	mu   sync.Mutex
	told map[string]string // key → resource version, from add, update and delete alone
	odd  []string          // what handlers were told that does not fit
}

// informers runs shared informers of several kinds while writers create, change and delete, lets one
// of them read so slowly that the server ends its watch, and compares every store with a fresh list.
// With KUBE_FEATURE_WatchListClient=false they list and then watch; else they stream the list.
func informers(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := serveModels(ctx, config); err != nil {
		return err
	}
	space, err := namespace(ctx, client, "churn")
	if err != nil {
		return err
	}
	slow := &stalling{}
	all, start, err := follow(ctx, config, space, slow)
	if err != nil {
		return err
	}
	start()
	for _, one := range all {
		if !cache.WaitForCacheSync(ctx.Done(), one.informer.HasSynced) {
			return fmt.Errorf("%s never synced", one.what)
		}
	}
	say("%d informers are in step", len(all))
	writes, err := storm(ctx, config, space, slow)
	if err != nil {
		return err
	}
	say("%d writes by %d writers", writes, writers)
	for _, one := range all {
		if err := one.settles(ctx); err != nil {
			return err
		}
	}
	begun := slow.begun.Load()
	say("the informer that stopped reading began %d times", begun)
	return unless(begun >= 2, "the server never ended the watch of the informer that stopped reading")
}

// follow makes the informers; start runs them.
func follow(ctx context.Context, config *rest.Config, space string, slow *stalling) ([]*followed, func(), error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	binary := rest.CopyConfig(config)
	binary.ContentType, binary.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	protobuf, err := kubernetes.NewForConfig(binary)
	if err != nil {
		return nil, nil, err
	}
	lazy := rest.CopyConfig(config)
	lazy.Wrap(slow.wrap)
	late, err := kubernetes.NewForConfig(lazy)
	if err != nil {
		return nil, nil, err
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	partial, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	in := clientinformers.WithNamespace(space)
	typed := clientinformers.NewSharedInformerFactoryWithOptions(client, 0, in)
	proto := clientinformers.NewSharedInformerFactoryWithOptions(protobuf, 0, in)
	stalled := clientinformers.NewSharedInformerFactoryWithOptions(late, 0, in)
	labelled := clientinformers.NewSharedInformerFactoryWithOptions(client, 0, in,
		clientinformers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = "parity=odd" }))
	custom := dynamicinformer.NewFilteredDynamicSharedInformerFactory(untyped, 0, space, nil)
	bare := metadatainformer.NewFilteredSharedInformerFactory(partial, 0, space, nil)
	maps := typed.Core().V1().ConfigMaps().Informer()
	everything := metav1.ListOptions{}
	listMaps := func(ctx context.Context) (runtime.Object, error) {
		return client.CoreV1().ConfigMaps(space).List(ctx, everything)
	}
	listDeployments := func(ctx context.Context) (runtime.Object, error) {
		return client.AppsV1().Deployments(space).List(ctx, everything)
	}
	deployments := schemaOf("apps", "v1", "deployments")
	all := []*followed{
		{what: "config maps", informer: maps, list: listMaps},
		{what: "config maps over protobuf", informer: proto.Core().V1().ConfigMaps().Informer(), list: listMaps},
		{what: "config maps read slowly", informer: stalled.Core().V1().ConfigMaps().Informer(), list: listMaps},
		{what: "config maps that a label selects", informer: labelled.Core().V1().ConfigMaps().Informer(),
			list: func(ctx context.Context) (runtime.Object, error) {
				return client.CoreV1().ConfigMaps(space).List(ctx, metav1.ListOptions{LabelSelector: "parity=odd"})
			}},
		{what: "secrets", informer: typed.Core().V1().Secrets().Informer(), list: func(ctx context.Context) (runtime.Object, error) {
			return client.CoreV1().Secrets(space).List(ctx, everything)
		}},
		{what: "deployments", informer: typed.Apps().V1().Deployments().Informer(), list: listDeployments},
		{what: "pods", informer: typed.Core().V1().Pods().Informer(), list: func(ctx context.Context) (runtime.Object, error) {
			return client.CoreV1().Pods(space).List(ctx, everything)
		}},
		{what: "custom resources", informer: custom.ForResource(models).Informer(), list: func(ctx context.Context) (runtime.Object, error) {
			return untyped.Resource(models).Namespace(space).List(ctx, everything)
		}},
		{what: "deployments' metadata", informer: bare.ForResource(deployments).Informer(), list: listDeployments},
	}
	for _, one := range all {
		one.told = map[string]string{}
		if _, err := one.informer.AddEventHandler(one); err != nil {
			return nil, nil, err
		}
	}
	start := func() {
		typed.Start(ctx.Done())
		proto.Start(ctx.Done())
		stalled.Start(ctx.Done())
		labelled.Start(ctx.Done())
		custom.Start(ctx.Done())
		bare.Start(ctx.Done())
	}
	return all, start, nil
}

// storm writes until every writer has done its rounds; while it runs the slow informer does not read.
func storm(ctx context.Context, config *rest.Config, space string, slow *stalling) (int64, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	slow.stop()
	defer slow.resume()
	var done atomic.Int64
	failed := make(chan error, 2*writers)
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(writer)))
			for range rounds {
				if err := round(ctx, client, untyped, space, random, &done); err != nil {
					failed <- err
					return
				}
			}
		})
		group.Go(func() {
			name := fmt.Sprintf("burst-%d", writer)
			maps := client.CoreV1().ConfigMaps(space)
			object := newConfigMap(name, "")
			object.Data["padding"] = strings.Repeat("x", padding)
			if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
				failed <- err
				return
			}
			for n := range burst / writers {
				patch := fmt.Sprintf(`{"data":{"value":"%d"}}`, n)
				if _, err := maps.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return done.Load(), nil
	}
}

// round does one write of each kind on a name that other writers use too.
func round(ctx context.Context, client kubernetes.Interface, untyped dynamic.Interface, space string, random *rand.Rand, done *atomic.Int64) error {
	name := fmt.Sprintf("object-%d", random.IntN(names))
	maps := client.CoreV1().ConfigMaps(space)
	secrets := client.CoreV1().Secrets(space)
	custom := untyped.Resource(models).Namespace(space)
	parity := []string{"odd", "even"}[random.IntN(2)]
	var errs []error
	switch random.IntN(4) {
	case 0:
		object := newConfigMap(name, "new")
		object.Labels["parity"] = parity
		_, mapErr := maps.Create(ctx, object, metav1.CreateOptions{})
		_, secretErr := secrets.Create(ctx, newSecret(name), metav1.CreateOptions{})
		_, customErr := custom.Create(ctx, newModel(name, 1), metav1.CreateOptions{})
		errs = []error{mapErr, secretErr, customErr}
	case 1:
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"parity":"%s","n":"%d"}}}`, parity, random.IntN(1000))
		_, mapErr := maps.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		_, secretErr := secrets.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		_, customErr := custom.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		errs = []error{mapErr, secretErr, customErr}
	case 2:
		object, err := maps.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			object.Data = map[string]string{"value": fmt.Sprint(random.IntN(1000))}
			_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
		}
		errs = []error{err}
	case 3:
		errs = []error{
			maps.Delete(ctx, name, metav1.DeleteOptions{}),
			secrets.Delete(ctx, name, metav1.DeleteOptions{}),
			custom.Delete(ctx, name, metav1.DeleteOptions{}),
		}
	}
	if random.IntN(20) == 0 {
		app := fmt.Sprintf("app-%d", random.IntN(5))
		deployments := client.AppsV1().Deployments(space)
		if random.IntN(2) == 0 {
			_, err := deployments.Create(ctx, newDeployment(app, int32(random.IntN(4))), metav1.CreateOptions{})
			errs = append(errs, err)
		} else {
			errs = append(errs, deployments.Delete(ctx, app, metav1.DeleteOptions{}))
		}
	}
	for _, err := range errs {
		done.Add(1)
		meeting := err == nil || errors.IsNotFound(err) || errors.IsAlreadyExists(err) || errors.IsConflict(err)
		if !meeting {
			return err
		}
	}
	return nil
}

func (f *followed) OnAdd(object any, _ bool) {
	f.note(object, func(key, version string) {
		if _, there := f.told[key]; there {
			f.odd = append(f.odd, "added twice: "+key)
		}
		f.told[key] = version
	})
}

func (f *followed) OnUpdate(_, object any) {
	f.note(object, func(key, version string) {
		if _, there := f.told[key]; !there {
			f.odd = append(f.odd, "changed before it was added: "+key)
		}
		f.told[key] = version
	})
}

func (f *followed) OnDelete(object any) {
	if gone, lost := object.(cache.DeletedFinalStateUnknown); lost {
		object = gone.Obj
	}
	f.note(object, func(key, _ string) { delete(f.told, key) })
}

func (f *followed) note(object any, with func(key, version string)) {
	own, err := meta.Accessor(object)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.odd = append(f.odd, err.Error())
		return
	}
	with(key(own.GetNamespace(), own.GetName()), own.GetResourceVersion())
}

// settles waits until store, handlers and a fresh list say the same.
func (f *followed) settles(ctx context.Context) error {
	var difference string
	err := eventually(ctx, f.what, func(ctx context.Context) (bool, error) {
		fresh, err := f.list(ctx)
		if err != nil {
			return false, err
		}
		truth := map[string]string{}
		err = meta.EachListItem(fresh, func(object runtime.Object) error {
			own, err := meta.Accessor(object)
			if err == nil {
				truth[key(own.GetNamespace(), own.GetName())] = own.GetResourceVersion()
			}
			return err
		})
		if err != nil {
			return false, err
		}
		stored := map[string]string{}
		for _, object := range f.informer.GetStore().List() {
			own, err := meta.Accessor(object)
			if err != nil {
				return false, err
			}
			stored[key(own.GetNamespace(), own.GetName())] = own.GetResourceVersion()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		difference = differ("the store", stored, truth) + differ("the handlers", f.told, truth)
		return difference == "", nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, difference)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.odd) > 0 {
		return fmt.Errorf("%s: %s", f.what, strings.Join(f.odd[:min(len(f.odd), 5)], "; "))
	}
	say("%s: store, handlers and a fresh list are equal (%d objects)", f.what, len(f.told))
	return nil
}

// differ tells how two sets of versions differ; nothing when they do not.
func differ(what string, has, truth map[string]string) string {
	var found []string
	for key, version := range truth {
		if has[key] != version {
			found = append(found, fmt.Sprintf("%s is at %q and should be at %s", key, has[key], version))
		}
	}
	for key := range has {
		if _, there := truth[key]; !there {
			found = append(found, key+" is gone")
		}
	}
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %s (%d differ); ", what, found[0], len(found))
}
