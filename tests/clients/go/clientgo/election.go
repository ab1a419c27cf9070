package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

// election lets candidates lead one after another, each giving the lease up to the next, and looks
// that there is never more than one leader.
func election(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	space, err := namespace(ctx, client, "election")
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster()
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events(space)})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "clientgo"})
	const candidates = 3
	var mu sync.Mutex
	var order, faults []string
	leading := ""
	var group sync.WaitGroup
	failed := make(chan error, candidates)
	for n := range candidates {
		identity := fmt.Sprintf("candidate-%d", n)
		group.Go(func() {
			term, over := context.WithCancel(ctx)
			defer over()
			lock, err := resourcelock.New(resourcelock.LeasesResourceLock, space, "leader", client.CoreV1(), client.CoordinationV1(),
				resourcelock.ResourceLockConfig{Identity: identity, EventRecorder: recorder})
			if err != nil {
				failed <- err
				return
			}
			elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
				Lock: lock, ReleaseOnCancel: true,
				LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 100 * time.Millisecond,
				Callbacks: leaderelection.LeaderCallbacks{
					OnStartedLeading: func(context.Context) {
						defer over()
						mu.Lock()
						if leading != "" {
							faults = append(faults, identity+" leads while "+leading+" does")
						}
						leading = identity
						order = append(order, identity)
						mu.Unlock()
						if err := renewed(ctx, client, space, identity); err != nil {
							failed <- err
						}
						mu.Lock()
						leading = ""
						mu.Unlock()
					},
					OnStoppedLeading: func() {},
				},
			})
			if err != nil {
				failed <- err
				return
			}
			elector.Run(term)
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	if err := unless(len(order) == candidates && len(faults) == 0, "led: %v; %v", order, faults); err != nil {
		return err
	}
	lease, err := client.CoordinationV1().Leases(space).Get(ctx, "leader", metav1.GetOptions{})
	if err != nil {
		return err
	}
	say("%d candidates led one after another; the lease went through %d hands", candidates, *lease.Spec.LeaseTransitions)
	err = eventually(ctx, "the election's events", func(ctx context.Context) (bool, error) {
		events, err := client.CoreV1().Events(space).List(ctx, metav1.ListOptions{FieldSelector: "reason=LeaderElection,involvedObject.kind=Lease"})
		return err == nil && len(events.Items) >= candidates, err
	})
	if err == nil {
		say("each election is told as an event")
	}
	return err
}

// renewed waits until the leader's lease has been renewed once.
func renewed(ctx context.Context, client kubernetes.Interface, space, identity string) error {
	var before *metav1.MicroTime
	return eventually(ctx, "the lease of "+identity+" is renewed", func(ctx context.Context) (bool, error) {
		lease, err := client.CoordinationV1().Leases(space).Get(ctx, "leader", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if holder := *lease.Spec.HolderIdentity; holder != identity {
			return false, fmt.Errorf("it is held by %s", holder)
		}
		if before == nil {
			before = lease.Spec.RenewTime
		}
		return before.Time.Before(lease.Spec.RenewTime.Time), nil
	})
}
