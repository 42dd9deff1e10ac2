import { Alert, Button, Center, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { type FormEvent, useState } from "react";

import { signIn } from "./api";

export function SignIn({ onDone }: { onDone: () => void }) {
  const [agent, setAgent] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<string | null>(null);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const error = await signIn(agent, password);
    setProblem(error);
    if (error === null) onDone();
  };

  return (
    <Center mih="100vh" p="md">
      <Paper withBorder shadow="sm" p="xl" w={380} component="form" onSubmit={submit}>
        <Stack>
          <div>
            <Title order={2}>Cordboard</Title>
            <Text c="dimmed" size="sm">Sign in to take conversations.</Text>
          </div>
          <TextInput label="Name" autoComplete="username" value={agent} required
            onChange={(event) => setAgent(event.currentTarget.value)} />
          <PasswordInput label="Password" autoComplete="current-password" value={password} required
            onChange={(event) => setPassword(event.currentTarget.value)} />
          {problem && <Alert color="red" role="alert">{problem}</Alert>}
          <Button type="submit">Sign in</Button>
          <Text c="dimmed" size="xs">
            No password yet? An operator makes a one-time link: cordboard agent link
          </Text>
        </Stack>
      </Paper>
    </Center>
  );
}
