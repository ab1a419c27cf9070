package main

import (
	"context"
	"reflect"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

// clients asks the same cluster through every client that client-go has.
func clients(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := serveModels(ctx, config); err != nil {
		return err
	}
	space, err := namespace(ctx, client, "clients")
	if err != nil {
		return err
	}
	mapper, err := discovered(config)
	if err != nil {
		return err
	}
	for _, part := range []func() error{
		func() error { return protobufAndJSON(ctx, config, space) },
		func() error { return customResource(ctx, config, space, mapper) },
		func() error { return onlyMetadata(ctx, config, client, space) },
		func() error { return pages(ctx, client, space) },
		func() error { return meetings(ctx, client, space) },
		func() error { return questions(ctx, client, space) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// discovered maps every served kind to its resource and back, from aggregated and from old discovery.
func discovered(config *rest.Config) (*restmapper.DeferredDiscoveryRESTMapper, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	groups, lists, err := client.ServerGroupsAndResources()
	if err != nil {
		return nil, err
	}
	old := discovery.NewDiscoveryClient(client.RESTClient())
	old.UseLegacyDiscovery = true
	oldGroups, oldLists, err := old.ServerGroupsAndResources()
	if err != nil {
		return nil, err
	}
	count := func(lists []*metav1.APIResourceList) (n int) {
		for _, list := range lists {
			n += len(list.APIResources)
		}
		return n
	}
	if err := unless(len(groups) == len(oldGroups) && count(lists) == count(oldLists), "aggregated discovery has %d groups and %d resources, the old one %d and %d",
		len(groups), count(lists), len(oldGroups), count(oldLists)); err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
	kinds := 0
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			if strings.Contains(resource.Name, "/") {
				continue
			}
			mapping, err := mapper.RESTMapping(schema.GroupKind{Group: version.Group, Kind: resource.Kind}, version.Version)
			if err != nil {
				return nil, err
			}
			if err := unless(mapping.Resource.Resource == resource.Name, "%s maps to %s", resource.Kind, mapping.Resource); err != nil {
				return nil, err
			}
			kinds++
		}
	}
	say("discovery, old and aggregated, tells of %d groups; %d kinds map to their resources", len(groups), kinds)
	_, err = client.OpenAPIV3().Paths()
	return mapper, err
}

// protobufAndJSON writes in one form and reads in the other.
func protobufAndJSON(ctx context.Context, config *rest.Config, space string) error {
	binary := rest.CopyConfig(config)
	binary.ContentType, binary.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	proto, err := kubernetes.NewForConfig(binary)
	if err != nil {
		return err
	}
	text := rest.CopyConfig(config)
	text.ContentType, text.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	plain, err := kubernetes.NewForConfig(text)
	if err != nil {
		return err
	}
	if _, err := proto.AppsV1().Deployments(space).Create(ctx, newDeployment("proto", 0), metav1.CreateOptions{}); err != nil {
		return err
	}
	// Its controller writes a status; what is compared is read at one moment.
	err = eventually(ctx, "a Deployment read as protobuf equals the one read as JSON", func(ctx context.Context) (bool, error) {
		one, err := proto.AppsV1().Deployments(space).Get(ctx, "proto", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		other, err := plain.AppsV1().Deployments(space).Get(ctx, "proto", metav1.GetOptions{})
		if err != nil || one.ResourceVersion != other.ResourceVersion {
			return false, err
		}
		return true, unless(equality.Semantic.DeepEqual(one, other), "%+v and %+v", one, other)
	})
	if err != nil {
		return err
	}
	ones, err := proto.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	others, err := plain.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if err := unless(reflect.DeepEqual(ones.Items, others.Items), "the ClusterRoles read as protobuf are not those read as JSON"); err != nil {
		return err
	}
	say("protobuf and JSON say the same of a Deployment and of %d ClusterRoles", len(ones.Items))
	_, err = proto.CoreV1().ConfigMaps(space).Create(ctx, newConfigMap("Not A Name", ""), metav1.CreateOptions{})
	return unless(errors.IsInvalid(err), "a faulty object sent as protobuf: %v", err)
}

// customResource uses the dynamic client and the scale client on a custom resource.
func customResource(ctx context.Context, config *rest.Config, space string, mapper *restmapper.DeferredDiscoveryRESTMapper) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	own := client.Resource(models).Namespace(space)
	made, err := own.Create(ctx, newModel("small", 2), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Object["status"] = map[string]any{"phase": "Trained", "layers": int64(2)}
	if made, err = own.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	applied := newModel("small", 3)
	made, err = own.Apply(ctx, "small", applied, metav1.ApplyOptions{FieldManager: "clientgo", Force: true})
	if err != nil {
		return err
	}
	status, _ := made.Object["status"].(map[string]any)
	if err := unless(status["phase"] == "Trained", "an apply of the spec left the status %v", status); err != nil {
		return err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(disco))
	if err != nil {
		return err
	}
	size, err := scales.Scales(space).Get(ctx, models.GroupResource(), "small", metav1.GetOptions{})
	if err != nil {
		return err
	}
	size.Spec.Replicas = 7
	if _, err := scales.Scales(space).Update(ctx, models.GroupResource(), size, metav1.UpdateOptions{}); err != nil {
		return err
	}
	after, err := own.Get(ctx, "small", metav1.GetOptions{})
	if err != nil {
		return err
	}
	spec, _ := after.Object["spec"].(map[string]any)
	if err := unless(spec["layers"] == int64(7), "scaled through the scale client: %v", spec); err != nil {
		return err
	}
	say("a custom resource is made, applied, scaled and given a status")
	return nil
}

// onlyMetadata lists, patches and deletes by metadata alone.
func onlyMetadata(ctx context.Context, config *rest.Config, client kubernetes.Interface, space string) error {
	for _, name := range []string{"meta-a", "meta-b"} {
		if _, err := client.CoreV1().ConfigMaps(space).Create(ctx, newConfigMap(name, "x"), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	partial, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	maps := partial.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(space)
	patched, err := maps.Patch(ctx, "meta-a", types.MergePatchType, []byte(`{"metadata":{"labels":{"kept":"yes"}}}`), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	if err := unless(patched.Labels["kept"] == "yes", "patched: %+v", patched); err != nil {
		return err
	}
	err = maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "made-by=clientgo,kept!=yes"})
	if err != nil {
		return err
	}
	list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "made-by=clientgo"})
	if err != nil {
		return err
	}
	if err := unless(len(list.Items) == 1 && list.Items[0].Name == "meta-a", "left over: %+v", list.Items); err != nil {
		return err
	}
	say("metadata alone is listed, patched and deleted by")
	return nil
}

// pages reads a list in pieces with client-go's pager.
func pages(ctx context.Context, client kubernetes.Interface, space string) error {
	const made = 25
	for n := range made {
		secret := newSecret("page-" + string(rune('a'+n)))
		if _, err := client.CoreV1().Secrets(space).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	lister := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Secrets(space).List(ctx, options)
	}))
	lister.PageSize = 4
	seen := 0
	selector := fields.OneTermEqualSelector("type", string(corev1.SecretTypeOpaque)).String()
	err := lister.EachListItem(ctx, metav1.ListOptions{FieldSelector: selector}, func(runtime.Object) error {
		seen++
		return nil
	})
	if err == nil {
		err = unless(seen == made, "the pages hold %d of %d secrets", seen, made)
	}
	if err == nil {
		say("%d secrets are read in pages of 4", seen)
	}
	return err
}

// meetings lets writers meet at one object, each trying again when it was too late.
func meetings(ctx context.Context, client kubernetes.Interface, space string) error {
	maps := client.CoreV1().ConfigMaps(space)
	if _, err := maps.Create(ctx, newConfigMap("counter", ""), metav1.CreateOptions{}); err != nil {
		return err
	}
	const each, hands = 20, 5
	backoff := retry.DefaultBackoff
	backoff.Steps, backoff.Factor = 1000, 1
	results := make(chan error, hands)
	for range hands {
		go func() {
			for range each {
				err := retry.RetryOnConflict(backoff, func() error {
					object, err := maps.Get(ctx, "counter", metav1.GetOptions{})
					if err != nil {
						return err
					}
					object.Data["value"] += "+"
					_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
					return err
				})
				if err != nil {
					results <- err
					return
				}
			}
			results <- nil
		}()
	}
	for range hands {
		if err := <-results; err != nil {
			return err
		}
	}
	object, err := maps.Get(ctx, "counter", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := unless(len(object.Data["value"]) == each*hands, "%d of %d marks were kept", len(object.Data["value"]), each*hands); err != nil {
		return err
	}
	say("%d updates by %d writers, and none was lost", each*hands, hands)
	return nil
}

// questions asks for a token, reviews it and what its owner may do, and evicts a Pod.
func questions(ctx context.Context, client kubernetes.Interface, space string) error {
	err := eventually(ctx, "the namespace's service account", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(space).Get(ctx, "default", metav1.GetOptions{})
		if errors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	asked, err := client.CoreV1().ServiceAccounts(space).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	review, err := client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: asked.Status.Token},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	user := "system:serviceaccount:" + space + ":default"
	if err := unless(review.Status.Authenticated && review.Status.User.Username == user, "the token's review: %+v", review.Status); err != nil {
		return err
	}
	access, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "delete", Resource: "pods", Namespace: space},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := unless(!access.Status.Allowed, "a fresh service account may delete Pods: %+v", access.Status); err != nil {
		return err
	}
	say("a token is made and reviewed, and its owner may not delete Pods")
	if _, err := client.AppsV1().Deployments(space).Create(ctx, newDeployment("guarded", 1), metav1.CreateOptions{}); err != nil {
		return err
	}
	var pod string
	err = eventually(ctx, "a Pod of the Deployment runs", func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods(space).List(ctx, metav1.ListOptions{LabelSelector: "app=guarded"})
		if err != nil || len(pods.Items) == 0 {
			return false, err
		}
		pod = pods.Items[0].Name
		return pods.Items[0].Status.Phase == corev1.PodRunning, nil
	})
	if err != nil {
		return err
	}
	err = client.PolicyV1().Evictions(space).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: space}})
	if err != nil {
		return err
	}
	err = eventually(ctx, "the evicted Pod is replaced", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Pods(space).Get(ctx, pod, metav1.GetOptions{})
		if !errors.IsNotFound(err) {
			return false, err
		}
		now, err := client.AppsV1().Deployments(space).Get(ctx, "guarded", metav1.GetOptions{})
		return err == nil && now.Status.ReadyReplicas == 1, err
	})
	if err == nil {
		say("an evicted Pod is replaced")
	}
	return err
}
