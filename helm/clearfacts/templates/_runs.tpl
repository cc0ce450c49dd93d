{{/* How the pod of a run looks: the configuration of Dagster's K8sRunLauncher, given by the code server. */}}
{{- define "clearfacts.runContext" -}}
{{- $of := dict "root" $ "component" "run" -}}
k8s:
  namespace: {{ .Values.namespaces.system }}
  service_account_name: clearfacts-run
  image_pull_policy: {{ .Values.image.pullPolicy }}
  {{- with .Values.imagePullSecrets }}
  image_pull_secrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  env_secrets: [{{ .Values.secrets.settings }}]
  env_vars:
    - CLEARFACTS_HOME=/tmp/clearfacts
    - CLEARFACTS_CONFIG=/etc/clearfacts/settings.yaml
  resources: {{ toYaml (.Values.runs.resources | default .Values.resources) | nindent 4 }}
  labels: {{ include "clearfacts.selector" $of | nindent 4 }}
  volumes:
    - { name: scratch, emptyDir: { sizeLimit: 2Gi } }
    - { name: dagster-home, emptyDir: { sizeLimit: 256Mi } }
    - { name: dagster-instance, configMap: { name: {{ .Values.dagster.instanceConfigMap }} } }
    - { name: settings, configMap: { name: clearfacts-settings-file } }
    {{- include "clearfacts.filesVolume" . | nindent 4 }}
  volume_mounts:
    - { name: scratch, mountPath: /tmp }
    - { name: dagster-home, mountPath: {{ .Values.dagster.home }} }
    - { name: dagster-instance, mountPath: {{ .Values.dagster.home }}/dagster.yaml, subPath: dagster.yaml, readOnly: true }
    - { name: settings, mountPath: /etc/clearfacts, readOnly: true }
    {{- include "clearfacts.filesMount" . | nindent 4 }}
  run_k8s_config:
    container_config:
      securityContext: {{ include "clearfacts.containerSecurity" . | nindent 8 }}
    pod_template_spec_metadata:
      annotations: {{ include "clearfacts.meshAnnotations" . | nindent 8 }}
    pod_spec_config:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .Values.runs.terminationGraceSeconds }}
      securityContext: {{ include "clearfacts.podSecurity" (dict "uid" 10001) | nindent 8 }}
    job_spec_config:
      ttlSecondsAfterFinished: {{ .Values.runs.keepSeconds }}
{{- end }}
