package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

// exec runs commands in a Pod through every transport that client-go has, and follows its log.
func exec(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	space, err := namespace(ctx, client, "exec")
	if err != nil {
		return err
	}
	if _, err := client.AppsV1().Deployments(space).Create(ctx, newDeployment("web", 1), metav1.CreateOptions{}); err != nil {
		return err
	}
	var pod string
	err = eventually(ctx, "the Pod runs", func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods(space).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) == 0 {
			return false, err
		}
		pod = pods.Items[0].Name
		return pods.Items[0].Status.Phase == corev1.PodRunning, nil
	})
	if err != nil {
		return err
	}
	ways := map[string]func(*http.Request) (remotecommand.Executor, error){
		"WebSocket": func(r *http.Request) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutor(config, http.MethodGet, r.URL.String())
		},
		"SPDY": func(r *http.Request) (remotecommand.Executor, error) {
			return remotecommand.NewSPDYExecutor(config, http.MethodPost, r.URL)
		},
		"WebSocket or else SPDY": func(r *http.Request) (remotecommand.Executor, error) {
			socket, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, r.URL.String())
			if err != nil {
				return nil, err
			}
			spdy, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, r.URL)
			if err != nil {
				return nil, err
			}
			return remotecommand.NewFallbackExecutor(socket, spdy, httpstream.IsUpgradeFailure)
		},
	}
	for way, make := range ways {
		if err := executed(ctx, client, space, pod, make); err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		say("%s carries input, output, errors and the exit code", way)
	}
	return forwarded(ctx, config, client, space, pod)
}

// executed runs a command that reads, writes on both of its outputs and fails.
func executed(ctx context.Context, client kubernetes.Interface, space, pod string, make func(*http.Request) (remotecommand.Executor, error)) error {
	options := &corev1.PodExecOptions{
		Command: []string{"sh", "-c", "cat; echo wrong >&2; exit 3"},
		Stdin:   true, Stdout: true, Stderr: true,
	}
	address := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(space).Name(pod).SubResource("exec").
		VersionedParams(options, scheme.ParameterCodec).URL()
	executor, err := make(&http.Request{URL: address})
	if err != nil {
		return err
	}
	var out, wrong bytes.Buffer
	const sent = "over\nand back\n"
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(sent), Stdout: &out, Stderr: &wrong})
	var exit utilexec.CodeExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("the command's end was told as %v; it wrote %q and %q", err, out.String(), wrong.String())
	}
	return unless(exit.Code == 3 && out.String() == sent && wrong.String() == "wrong\n",
		"exit code %d, output %q, errors %q", exit.Code, out.String(), wrong.String())
}

// forwarded reaches the Pod's port through port-forward, tunnelled and plain.
func forwarded(ctx context.Context, config *rest.Config, client kubernetes.Interface, space, pod string) error {
	address := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(space).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return err
	}
	plain := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, address)
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(address, config)
	if err != nil {
		return err
	}
	for way, dialer := range map[string]httpstream.Dialer{"SPDY": plain, "SPDY in a WebSocket": tunnel} {
		stop, ready := make(chan struct{}), make(chan struct{})
		forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- forwarder.ForwardPorts() }()
		select {
		case <-ready:
		case err := <-ended:
			return fmt.Errorf("%s: port-forward ended: %w", way, err)
		case <-ctx.Done():
			return ctx.Err()
		}
		ports, err := forwarder.GetPorts()
		if err != nil {
			return err
		}
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		answer.Body.Close()
		close(stop)
		if err := first(<-ended, unless(answer.StatusCode == http.StatusOK, "%s: the server answered %s", way, answer.Status)); err != nil {
			return err
		}
		say("port-forward over %s reaches the Pod's server", way)
	}
	return nil
}
