{{/* What every pod of ours has in common. The dictionary given is (dict "root" $ "component" NAME). */}}

{{- define "clearfacts.selector" -}}
app.kubernetes.io/part-of: clearfacts
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "clearfacts.labels" -}}
{{ include "clearfacts.selector" . }}
app.kubernetes.io/name: clearfacts
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "clearfacts.image" -}}
{{ printf "%s@%s" .repository .digest | quote }}
{{- end }}

{{- define "clearfacts.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
fsGroup: {{ .uid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "clearfacts.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* A sidecar that starts before us and ends after us, so that a job can complete. */}}
{{- define "clearfacts.meshAnnotations" -}}
sidecar.istio.io/nativeSidecar: "true"
{{- end }}

{{/* Of a pod that runs our image: all but its containers. */}}
{{- define "clearfacts.pod" -}}
serviceAccountName: clearfacts-{{ .component }}
automountServiceAccountToken: {{ eq .component "api" }}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext: {{ include "clearfacts.podSecurity" (dict "uid" 10001) | nindent 2 }}
{{- end }}

{{- define "clearfacts.container" -}}
image: {{ include "clearfacts.image" .root.Values.image }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext: {{ include "clearfacts.containerSecurity" . | nindent 2 }}
resources: {{ toYaml .root.Values.resources | nindent 2 }}
envFrom:
  - secretRef: { name: {{ .root.Values.secrets.settings }} }
env:
  - { name: CLEARFACTS_HOME, value: /tmp/clearfacts } # scratch: all state is in PostgreSQL and in files
  - { name: CLEARFACTS_CONFIG, value: /etc/clearfacts/settings.yaml }
  - { name: DAGSTER_HOME, value: {{ .root.Values.dagster.home }} }
  - name: DAGSTER_PG_PASSWORD
    valueFrom: { secretKeyRef: { name: {{ .root.Values.secrets.dagsterPostgresql }}, key: postgresql-password } }
{{- end }}

{{- define "clearfacts.mounts" -}}
- { name: scratch, mountPath: /tmp }
- { name: dagster-home, mountPath: {{ .root.Values.dagster.home }} }
- { name: dagster-instance, mountPath: {{ .root.Values.dagster.home }}/dagster.yaml, subPath: dagster.yaml, readOnly: true }
- { name: settings, mountPath: /etc/clearfacts, readOnly: true }
{{- end }}

{{- define "clearfacts.volumes" -}}
- { name: scratch, emptyDir: { sizeLimit: 2Gi } }
- { name: dagster-home, emptyDir: { sizeLimit: 256Mi } }
- { name: dagster-instance, configMap: { name: {{ .root.Values.dagster.instanceConfigMap }} } }
- { name: settings, configMap: { name: clearfacts-settings-file } }
{{- end }}

{{- define "clearfacts.filesMount" -}}
- { name: files, mountPath: /var/lib/clearfacts/files }
{{- end }}

{{- define "clearfacts.filesVolume" -}}
- { name: files, persistentVolumeClaim: { claimName: clearfacts-files } }
{{- end }}
