package local

import (
	"context"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// removeSandboxes ends every pod of a node by its containerd: containers, their shims, and the network of each.
func (n node) removeSandboxes(ctx context.Context) error {
	if _, err := os.Stat(n.socket()); err != nil {
		return nil
	}
	conn, err := grpc.NewClient("unix://"+n.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := cri.NewRuntimeServiceClient(conn)
	list, err := client.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("pods of node %s: %w", n.name, err)
	}
	var failed error
	for _, s := range list.Items {
		_, err := client.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: s.Id})
		if err == nil {
			_, err = client.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: s.Id})
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("pod %s/%s: %w", s.Metadata.Namespace, s.Metadata.Name, err))
		}
	}
	return failed
}
